//! Questions and answers for training, from files to batches.
//!
//! ```text
//! JSON, JSONL, parquet ─► rows ─► dialogue ─► vlm_batches (decode, resize, tokens, labels) ─► loader's threads ─► VLM batches
//! ```
//!
//! * [`rows`]: rows of files
//! * [`dialogue`]: conversations of rows
//! * [`library`]: mixture of files, and which of their rows are held out
//! * [`vlm_batches`]: from rows to batches

pub mod dialogue;
pub mod library;
pub mod rows;
pub mod vlm_batches;
