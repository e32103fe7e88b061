//! Test that the topic table of docs/ros_interface.md equals the topics of the nodes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg(feature = "ros")]

use std::collections::BTreeSet;

use thinkvla::ros::node::topics;

/// Rows of the Markdown table under a heading, cells without backticks.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    page.lines()
        .skip_while(|line| !line.starts_with(heading))
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|row| {
            let cells = row.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('`', "")).collect()
        })
        .collect()
}

#[test]
fn the_topic_table_of_the_documentation_is_the_topics_the_nodes_have() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ros_interface.md")).unwrap();
    let written: BTreeSet<(String, String)> = table(&page, "## Topics")
        .into_iter()
        .map(|row| (row[0].replace("<camera>/", ""), row[1].clone()))
        .collect();
    let had: BTreeSet<(String, String)> = topics::ALL
        .iter()
        .map(|topic| (topic.name.to_owned(), topic.kind.to_owned()))
        .collect();
    assert_eq!(written, had);
}
