//! Tests of the names of values: they are taken for the values that they are written for, or not at all.

use serde_json::json;
use thinkvla::dataset::Dataset;
use thinkvla::dataset::column_mapping::ColumnMapping;

use super::foreign::Foreign;
use super::{command_line, made, stdout_of};

/// Names of rotations, then positions, then the gripper; maps of `serde_json` would sort them.
const NESTED: &str = r#"{"arm":{"rotation":["rx","ry","rz"],"position":["x","y","z"]},"hand":["gripper"]}"#;

/// A dataset whose actions have these names.
fn named(names: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let (folder, root) = made(&Foreign {
        names: json!("here"),
        ..Foreign::default()
    });
    let path = root.join("meta/info.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"here\""));
    std::fs::write(&path, text.replace("\"here\"", names)).unwrap();
    (folder, root)
}

fn mapped(root: &std::path::Path) -> Result<Vec<usize>, String> {
    let dataset = Dataset::open(root).unwrap();
    let wanted = ["x", "y", "z", "rx", "ry", "rz", "gripper"];
    ColumnMapping::find(&dataset.info().features["action"], &wanted).map(|mapping| mapping.places)
}

#[test]
fn values_are_those_of_the_names_in_the_order_of_the_file() {
    for names in [
        NESTED,
        r#"{"motors":{"x":3,"y":4,"z":5,"rx":0,"ry":1,"rz":2,"gripper":6}}"#,
        r#"{"6":"gripper","5":"z","4":"y","3":"x","2":"rz","1":"ry","0":"rx"}"#,
        r#"{"axes":["rx","ry","rz","x","y","z","gripper"],"units":["rad","rad","rad","m","m","m",""]}"#,
    ] {
        let (_folder, root) = named(names);
        assert_eq!(mapped(&root).unwrap(), [3, 4, 5, 0, 1, 2, 6], "{names}");
    }
}

#[test]
fn a_merged_dataset_has_the_names_in_the_order_of_the_original() {
    let (_folder, root) = named(NESTED);
    let out = root.with_file_name("merged");
    let arguments = ["merge", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    assert!(command_line::dataset(&arguments).status.success());
    let text = std::fs::read_to_string(out.join("meta/info.json")).unwrap();
    let text: String = text.split_whitespace().collect();
    assert!(text.contains(NESTED), "{text}");
    assert_eq!(mapped(&out).unwrap(), [3, 4, 5, 0, 1, 2, 6]);
}

#[test]
fn names_that_are_not_clear_are_told_and_never_taken_by_their_places() {
    for (names, problem) in [
        (
            r#"["rx","ry","rz","x","y","z"]"#,
            "expected 7 names, one for each value, found 6",
        ),
        (
            r#"{"x":0,"y":0,"z":3,"rx":4,"ry":5,"rz":6,"gripper":1}"#,
            "found place 0 for x and for y",
        ),
    ] {
        let (_folder, root) = named(names);
        let message = mapped(&root).unwrap_err();
        assert!(
            message.contains(problem) && message.contains("meta/info.json"),
            "{message}"
        );
        let text = root.to_str().unwrap();
        for message in [stdout_of(&["info", text]), stdout_of(&["verify", text])] {
            assert!(message.contains(problem), "{message}");
        }
        assert!(stdout_of(&["verify", text]).contains("sound"));
    }
}
