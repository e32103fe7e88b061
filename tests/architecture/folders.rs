//! Tests of the folders of `src`: which may use which, and which may name the heavy crates.

use std::collections::{BTreeMap, BTreeSet};

use super::parser::roots;
use super::{report, sources};

/// What each top-level folder or file of `src` may use of the others. There are no circles, and a test keeps it so.
const MAY_USE: &[(&str, &[&str])] = &[
    ("camera", &["contract", "files", "types"]),
    ("contract", &["files"]),
    ("control", &["contract", "files", "types"]),
    ("dataset", &["camera", "contract", "control", "files", "writer_lock"]),
    (
        "eval",
        &[
            "camera",
            "contract",
            "control",
            "dataset",
            "figures",
            "files",
            "model",
            "parallel",
            "sim",
            "stats",
            "supervisor",
            "training",
            "types",
            "writer_lock",
        ],
    ),
    ("figures", &["camera", "contract", "control", "dataset"]),
    ("files", &[]),
    (
        "inspect",
        &["camera", "contract", "dataset", "model", "stats", "torch_ext"],
    ),
    (
        "model",
        &["camera", "contract", "control", "files", "torch_ext", "writer_lock"],
    ),
    ("parallel", &[]),
    ("child_process", &[]),
    ("random", &[]),
    ("realman", &["control", "types"]),
    ("recording", &["control", "dataset", "types"]),
    (
        "ros",
        &[
            "camera",
            "contract",
            "control",
            "dataset",
            "eval",
            "figures",
            "files",
            "inspect",
            "model",
            "child_process",
            "realman",
            "recording",
            "sim",
            "stats",
            "supervisor",
            "teleop",
            "training",
            "types",
            "writer_lock",
        ],
    ),
    (
        "sim",
        &[
            "camera",
            "contract",
            "control",
            "dataset",
            "files",
            "parallel",
            "random",
            "realman",
            "recording",
            "stats",
            "supervisor",
            "types",
            "writer_lock",
        ],
    ),
    ("stats", &[]),
    ("supervisor", &["contract", "control", "realman", "types"]),
    ("teleop", &["contract", "control", "files", "types"]),
    ("torch_ext", &[]),
    (
        "training",
        &[
            "camera",
            "contract",
            "dataset",
            "figures",
            "files",
            "model",
            "parallel",
            "random",
            "sim",
            "torch_ext",
            "writer_lock",
        ],
    ),
    ("types", &[]),
    ("writer_lock", &[]),
];

/// Crates, and the keyword `unsafe`, that only some places may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    (
        "tch",
        &[
            "src/eval/diagnosis.rs",
            "src/inspect/",
            "src/model/",
            "src/torch_ext/",
            "src/training/",
        ],
    ),
    ("torch_sys", &["src/torch_ext/"]),
    ("rclrs", &["src/ros/"]),
    ("ros_env", &["src/ros/"]),
    ("mujoco_rs", &["src/sim/"]),
    ("unsafe", &["src/model/layers/system_calls.rs", "src/torch_ext/"]),
];

#[test]
fn folders_use_only_what_the_table_allows() {
    let all = sources();
    let folders: BTreeSet<&str> = all
        .iter()
        .map(|source| source.folder.as_str())
        .filter(|folder| *folder != "lib")
        .collect();
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let (mut problems, mut used) = (Vec::new(), BTreeSet::new());
    for folder in &folders {
        if !table.contains_key(folder) {
            problems.push(format!(
                "src/{folder}: expected an entry in MAY_USE, found none; say there what it may use"
            ));
        }
    }
    for source in &all {
        for (name, line) in roots(&source.tokens, source.depth) {
            if name == source.folder || !folders.contains(name.as_str()) || source.folder == "lib" {
                continue;
            }
            let allowed = table.get(source.folder.as_str()).copied().unwrap_or_default();
            if !allowed.contains(&name.as_str()) {
                problems.push(format!(
                    "{}:{line}: expected only {allowed:?} from src/{}, found crate::{name}; move the code to where it \
                     may use it, pass it in, or, if {name} belongs below {}, add it to MAY_USE",
                    source.path, source.folder, source.folder
                ));
            }
            used.insert((source.folder.clone(), name));
        }
    }
    assert!(
        used.len() > 40,
        "expected more than 40 uses between folders, found {}: the parser sees too little",
        used.len()
    );
    for (folder, allowed) in MAY_USE {
        for name in *allowed {
            if !used.contains(&((*folder).to_owned(), (*name).to_owned())) {
                problems.push(format!(
                    "tests/architecture/folders.rs: expected src/{folder} to use {name}, as MAY_USE allows, found no use; \
                     remove it there"
                ));
            }
        }
    }
    report(&problems);
}

#[test]
fn there_are_no_circles_between_folders() {
    // Folders that use only what is settled already are settled themselves; a circle never is.
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    loop {
        let next: Vec<&str> = MAY_USE
            .iter()
            .filter(|(folder, uses)| !settled.contains(folder) && uses.iter().all(|used| settled.contains(used)))
            .map(|(folder, _)| *folder)
            .collect();
        if next.is_empty() {
            break;
        }
        settled.extend(next);
    }
    let circles: Vec<&str> = MAY_USE
        .iter()
        .map(|(folder, _)| *folder)
        .filter(|folder| !settled.contains(folder))
        .collect();
    assert!(
        circles.is_empty(),
        "tests/architecture/folders.rs: expected no circles in MAY_USE, found some among {circles:?}; move what \
         both sides need into a folder below them"
    );
}

#[test]
fn heavy_crates_and_unsafe_stay_where_they_belong() {
    let (mut problems, mut seen) = (Vec::new(), BTreeSet::new());
    for source in sources() {
        let text = |i: usize| source.tokens.get(i).map_or("", |token| token.text.as_str());
        for i in 0..source.tokens.len() {
            let Some((name, places)) = MAY_NAME.iter().find(|(name, _)| *name == text(i)) else {
                continue;
            };
            let before = if i == 0 { "" } else { text(i - 1) };
            let names = *name == "unsafe" || (text(i + 1) == "::" && before != "::") || before == "use";
            if !names {
                continue;
            }
            seen.insert(*name);
            if !places.iter().any(|place| source.path.starts_with(*place)) {
                problems.push(format!(
                    "{}:{}: expected {name} only in {places:?}, found it here; move the code there, or call a safe \
                     function of it",
                    source.path, source.tokens[i].line
                ));
            }
        }
    }
    for (name, _) in MAY_NAME {
        if !seen.contains(name) {
            problems.push(format!(
                "tests/architecture/folders.rs: expected {name} somewhere in src, found it nowhere; remove \
                 it from MAY_NAME"
            ));
        }
    }
    report(&problems);
}
