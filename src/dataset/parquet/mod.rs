//! Parquet files, in and out.
//!
//! * [`table`], [`columns`]: files and their rows, and columns of rows as plain vectors
//! * `footer_check`, `thrift`, `delta_lengths`: what a file says of itself, checked before it is read
//! * `writer`, `rows`: how files are written, and those of episodes' rows

pub mod columns;
mod delta_lengths;
pub(super) mod footer_check;
pub(super) mod rows;
pub mod table;
mod thrift;
pub(super) mod writer;
