//! A run that is interrupted saves first and says how to go on.

use std::process::Command;
use std::time::Duration;

use super::trained::{Bench, bytes, metrics};

/// Interrupts a run after some steps: its exit code, and what it said.
fn interrupt(bench: &Bench, signal: &str) -> (Option<i32>, String) {
    let child = bench.command(&["--max-steps", "150"]).spawn().unwrap();
    let lines = || {
        let text = std::fs::read_to_string(bench.path("out/metrics.jsonl"));
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
    let bench = Bench::new("");
    let (code, said) = interrupt(&bench, "-INT");
    assert_eq!(code, Some(130), "{said}");
    let taken = metrics(&bench.path("out")).len();
    assert!((3..150).contains(&taken), "{taken} steps");
    let expected = format!("interrupted after step {taken} of 150; go on with: thinkvla train ");
    assert!(
        said.contains(&expected) && said.contains("train.yaml --resume"),
        "{said}"
    );
    let step = format!("step-{taken:08}");
    assert!(bench.path("out").join(&step).exists());
    let (end, last) = ((taken + 2).to_string(), format!("step-{:08}", taken + 2));
    assert!(
        bench
            .command(&["--resume", "--max-steps", &end])
            .status()
            .unwrap()
            .success()
    );
    let whole = bench.path("whole");
    let mut config = bench.load();
    config.out.clone_from(&whole);
    bench
        .open(config, false)
        .unwrap()
        .train(Some(taken as u64 + 2))
        .unwrap();
    assert!(bytes(&whole.join(&last)) == bytes(&bench.path("out").join(&last)));
}

#[test]
fn a_run_that_is_told_to_terminate_saves_as_well() {
    let bench = Bench::new("");
    let (code, said) = interrupt(&bench, "-TERM");
    assert_eq!(code, Some(143), "{said}");
    assert!(
        bench
            .path("out")
            .join(format!("step-{:08}", metrics(&bench.path("out")).len()))
            .exists()
    );
}
