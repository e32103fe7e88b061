//! Export of episodes as ROS 2 recordings, and their import.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../support/command_line.rs"]
mod command_line;
mod exported;
mod foreign;
#[path = "../support/sample_dataset/mod.rs"]
mod sample_dataset;

use thinkvla::dataset::mcap::{ColumnSource, SourceTopic};

const START: u64 = 1_700_000_000_000_000_000;

fn source(name: &str, topics: &[&str]) -> ColumnSource {
    ColumnSource {
        name: name.into(),
        topics: topics
            .iter()
            .map(|topic| SourceTopic {
                name: (*topic).into(),
                values: vec![],
            })
            .collect(),
    }
}
