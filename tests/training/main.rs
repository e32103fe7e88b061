//! Training does what the recipe says: against the same recipe in PyTorch, and part by part.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

mod graph;
mod lora;
mod method;
mod optimiser;
mod recipe;
mod rescale;
mod support;
