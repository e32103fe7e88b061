//! The network does what the reference does, at whatever size its configuration says, and refuses what cannot work.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod ask;
mod broken;
mod case;
mod checkpoint;
mod config;
mod convert;
mod formats;
mod forward;
mod integration;
mod prompt;
mod reference;
mod starvla;
mod stored;
mod support;
mod teacher;
mod text;
mod tokenizer;
mod variants;
