//! Tests of distributed training: processes together learn what one would learn from all their batches, and none continues
//! alone.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;
#[allow(dead_code)]
#[path = "support/tiny_run/mod.rs"]
mod tiny_run;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::Duration;

use tch::Tensor;
use tiny_run::{RunFixture, metrics, questions};

/// Two processes, started as torchrun does.
fn two(fixture: &RunFixture, arguments: &[&str]) -> [Child; 2] {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    [0, 1].map(|rank: u32| {
        let mut command = fixture.command(arguments);
        command.env("WORLD_SIZE", "2").env("RANK", rank.to_string());
        command.env("LOCAL_RANK", rank.to_string());
        command
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", free.to_string());
        command.spawn().unwrap()
    })
}

fn ended(children: [Child; 2]) -> [Output; 2] {
    children.map(|child| child.wait_with_output().unwrap())
}

fn weights(step: &Path) -> Vec<(String, Tensor)> {
    let mut all = Tensor::read_safetensors(step.join("model.safetensors")).unwrap();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn same_losses(runs: [&Path; 2], relative: f64) {
    let [one, other] = runs.map(metrics);
    assert!(!one.is_empty() && one.len() == other.len());
    for (a, b) in one.iter().zip(&other) {
        for loss in ["action", "reasoning", "text", "total", "gradient_norm"] {
            let (a, b) = (a[loss].as_f64().unwrap(), b[loss].as_f64().unwrap());
            assert!((a - b).abs() <= relative * a.abs(), "{loss}: {a} {b}");
        }
    }
}

#[test]
fn two_processes_learn_what_one_learns_from_all_their_batches() {
    let fixture = RunFixture::new(questions::SECTION);
    for output in ended(two(&fixture, &["--max-steps", "6"])) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut config = fixture.load();
    config.out = fixture.path("one");
    config.data.accumulate = 2;
    let one = fixture.open(config.clone(), false).unwrap().train(Some(6)).unwrap();
    let (alone, together) = (weights(&one.checkpoint), weights(&fixture.path("out/step-00000006")));
    assert_eq!(alone.len(), together.len());
    for ((key, a), (_, b)) in alone.iter().zip(&together) {
        let apart = f64::try_from((a - b).abs().max()).unwrap();
        assert!(apart <= 1e-6, "{key}: {apart:e}");
    }
    same_losses([&config.out, &fixture.path("out")], 1e-5);
    // The size of a step must not change during a run.
    config.out = fixture.path("out");
    config.data.accumulate = 1;
    let refused = fixture.open(config, true).err().unwrap();
    assert!(
        refused.contains("expected processes times data.accumulate to be 2"),
        "{refused}"
    );
}

#[test]
#[ignore = "needs two GPUs"]
fn two_gpus_learn_what_one_learns_from_all_their_batches() {
    let fixture = RunFixture::new(questions::SECTION);
    let config = std::fs::read_to_string(&fixture.config).unwrap();
    std::fs::write(&fixture.config, config.replace("device: cpu", "device: cuda")).unwrap();
    for output in ended(two(&fixture, &["--max-steps", "6"])) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut config = fixture.load();
    config.out = fixture.path("one");
    config.data.accumulate = 2;
    fixture.open(config.clone(), false).unwrap().train(Some(6)).unwrap();
    same_losses([&config.out, &fixture.path("out")], 1e-3);
}

#[test]
fn a_process_that_dies_ends_the_others_by_name_and_all_can_go_on() {
    let fixture = RunFixture::new("");
    let [leading, mut other] = two(&fixture, &[]);
    while !fixture.path("out/step-00000050").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    other.kill().unwrap();
    other.wait().unwrap();
    let output = leading.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        message.contains("rank 0 of 2 has lost the others") && message.contains("--resume"),
        "{message}"
    );
    assert!(!fixture.path("out/step-00000200").exists());
    for output in ended(two(&fixture, &["--resume", "--max-steps", "120"])) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(fixture.path("out/step-00000120").exists());
}

#[test]
fn an_interrupted_process_ends_all_after_the_same_step() {
    let fixture = RunFixture::new("");
    let children = two(&fixture, &[]);
    let lines = || {
        let text = std::fs::read_to_string(fixture.path("out/metrics.jsonl"));
        text.unwrap_or_default().lines().count()
    };
    while lines() < 3 {
        std::thread::sleep(Duration::from_millis(2));
    }
    let other = children[1].id().to_string();
    assert!(Command::new("kill").args(["-INT", &other]).status().unwrap().success());
    for output in ended(children) {
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{message}");
        assert!(
            message.contains(&format!("interrupted after step {} of 200", lines())),
            "{message}"
        );
    }
    assert!(fixture.path(&format!("out/step-{:08}", lines())).exists());
}

#[test]
fn an_environment_that_says_half_of_it_is_refused_by_name() {
    let fixture = RunFixture::new("");
    let output = fixture.command(&[]).env("WORLD_SIZE", "2").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && message.contains("RANK: expected it beside WORLD_SIZE"),
        "{message}"
    );
}
