//! Questions and answers on their way into training.
//!
//! ```text
//! JSON, JSONL, parquet ─► rows ─► dialogue ─► feed (decode, resize, tokens, labels) ─► loader's threads ─► VLM batches
//! ```
//!
//! * [`rows`]: what files hold
//! * [`dialogue`]: what a row means
//! * [`library`]: files that are mixed, and which of their rows are held out
//! * [`feed`]: from rows to batches

pub mod dialogue;
pub mod feed;
pub mod library;
pub mod rows;
