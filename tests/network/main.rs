//! The network does what the reference does, at whatever size its configuration says, and refuses what cannot work.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod checkpoint;
mod config;
mod forward;
mod integration;
mod packed;
mod prompt;
mod support;
mod text;
mod tokenizer;
