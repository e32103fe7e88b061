//! Test of the names of public types: each stands for one type.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::parser::public_types;
use super::{report, sources};

/// Public types whose name several types have, with their number today.
const SHARED_NAMES: &[(&str, usize)] = &[];

#[test]
fn a_type_name_stands_for_one_type() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (name, line) in public_types(&source.tokens) {
            places.entry(name).or_default().push(format!("{}:{line}", source.path));
        }
    }
    assert!(
        places.len() > 300,
        "expected more than 300 public types, found {}: the parser sees too little",
        places.len()
    );
    let mut problems = Vec::new();
    for (name, found) in &places {
        let allowed = SHARED_NAMES
            .iter()
            .find(|(shared, _)| shared == name)
            .map_or(1, |(_, number)| *number);
        if found.len() > allowed {
            let mut problem = format!(
                "{}: expected {allowed} public type(s) named {name}, found {}:",
                found[0],
                found.len()
            );
            for place in found {
                write!(problem, " {place}").unwrap();
            }
            problem.push_str("; choose a name that says which one it is");
            problems.push(problem);
        }
    }
    for (name, number) in SHARED_NAMES {
        let found = places.get(*name).map_or(0, Vec::len);
        if found < *number {
            problems.push(format!(
                "tests/architecture/type_names.rs: expected {number} public types named {name}, found {found}; \
                 lower it in SHARED_NAMES, or remove it"
            ));
        }
    }
    report(&problems);
}
