//! Tests of the network: it agrees with the reference at every configured size, and refuses invalid input.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

mod ask;
mod broken;
mod case;
mod checkpoint;
mod config;
mod convert;
mod formats;
mod forward;
mod latent_conditions;
mod packed;
mod parity;
mod prompt;
mod reference;
mod runs;
mod starvla;
mod stored;
mod support;
mod teacher;
mod text;
mod tokenizer;
mod torch_save;
mod transformers;
mod variants;
