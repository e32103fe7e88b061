//! Runs the command-line program.

use std::process::{Command, Output};

/// Runs `thinkvla dataset` with these arguments.
pub fn dataset(arguments: &[&str]) -> Output {
    run(&[&["dataset"][..], arguments].concat())
}

/// What `thinkvla` answers to these arguments.
pub fn run(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_thinkvla"))
        .args(arguments)
        .output()
        .unwrap();
    eprintln!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
