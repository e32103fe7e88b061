//! Tests of training: against the same recipe in PyTorch, and of each part.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

mod graph;
mod lora;
mod objective;
mod optimiser;
mod recipe;
mod rescale;
mod support;
