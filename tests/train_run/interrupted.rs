//! Tests of interrupted runs: they save first, and print how to continue.

use std::process::Command;
use std::time::Duration;

use super::tiny_run::{RunFixture, bytes, metrics};

/// Interrupts a run after some steps; returns its exit code and output.
fn interrupt(fixture: &RunFixture, signal: &str) -> (Option<i32>, String) {
    let child = fixture.command(&["--max-steps", "150"]).spawn().unwrap();
    let lines = || {
        let text = std::fs::read_to_string(fixture.path("out/metrics.jsonl"));
        text.unwrap_or_default().lines().count()
    };
    while lines() < 3 {
        std::thread::sleep(Duration::from_millis(2));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn an_interrupted_run_saves_the_step_it_is_at_and_goes_on_from_there() {
    let fixture = RunFixture::new("");
    let (code, message) = interrupt(&fixture, "-INT");
    assert_eq!(code, Some(130), "{message}");
    let taken = metrics(&fixture.path("out")).len();
    assert!((3..150).contains(&taken), "{taken} steps");
    let expected = format!("interrupted after step {taken} of 150; go on with: thinkvla train ");
    assert!(
        message.contains(&expected) && message.contains("train.yaml --resume"),
        "{message}"
    );
    let step = format!("step-{taken:08}");
    assert!(fixture.path("out").join(&step).exists());
    let (end, last) = ((taken + 2).to_string(), format!("step-{:08}", taken + 2));
    assert!(
        fixture
            .command(&["--resume", "--max-steps", &end])
            .status()
            .unwrap()
            .success()
    );
    let whole = fixture.path("whole");
    let mut config = fixture.load();
    config.out.clone_from(&whole);
    fixture
        .open(config, false)
        .unwrap()
        .train(Some(taken as u64 + 2))
        .unwrap();
    assert!(bytes(&whole.join(&last)) == bytes(&fixture.path("out").join(&last)));
}

/// Asserts that a run saves its current step on this signal, and ends with this exit code.
fn saves_and_ends(signal: &str, expected: i32) {
    let fixture = RunFixture::new("");
    let (code, message) = interrupt(&fixture, signal);
    assert_eq!(code, Some(expected), "{message}");
    let taken = metrics(&fixture.path("out")).len();
    assert!(fixture.path("out").join(format!("step-{taken:08}")).exists());
}

#[test]
fn a_run_that_is_told_to_terminate_saves_as_well() {
    saves_and_ends("-TERM", 143);
}

#[test]
fn a_closed_terminal_saves_as_well() {
    saves_and_ends("-HUP", 129);
}

#[test]
fn a_second_run_into_the_same_directory_is_refused_and_the_first_loses_nothing() {
    let fixture = RunFixture::new("");
    let mut first = fixture.open(fixture.load(), false).unwrap();
    first.train(Some(2)).unwrap();
    // The directory that the first run would be writing.
    let open = fixture.path("out/.open-00000003");
    std::fs::create_dir(&open).unwrap();
    let second = fixture.command(&["--resume", "--max-steps", "9"]).output().unwrap();
    assert!(!second.status.success());
    let message = String::from_utf8(second.stderr).unwrap();
    let holder = format!("found process {} (", std::process::id());
    assert!(
        message.contains("to be the only writer") && message.contains(&holder),
        "{message}"
    );
    assert!(open.exists());
    first.train(Some(4)).unwrap();
    assert_eq!(metrics(&fixture.path("out")).len(), 4);
    assert!(fixture.path("out/step-00000004").exists());
    drop(first);
    let third = fixture.command(&["--resume", "--max-steps", "5"]).status().unwrap();
    assert!(third.success());
}
