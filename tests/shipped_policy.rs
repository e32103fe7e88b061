//! Tests of the shipped policy: it does a task in closed loop, and only with the right images.
#![cfg(all(feature = "sim", feature = "torch"))]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may panic

use std::path::Path;

use thinkvla::control::config::ArmConfig;
use thinkvla::eval::closed_loop::{ChunkLatency, EvaluatedPolicy, Evaluation, NetworkOptions, SimNetwork, trials};
use thinkvla::eval::diagnosis::{DiagnosisOptions, diagnose};
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::tasks::Task;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/checkpoints/small");

fn options() -> NetworkOptions {
    NetworkOptions {
        threads: Some(1),
        ..NetworkOptions::default()
    }
}

/// Number of successes in six trials of the container task.
fn successes(shuffle_cameras: bool) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let evaluation = Evaluation {
        sim: SimConfig::shipped().unwrap(),
        arm: ArmConfig::shipped().unwrap(),
        trials: trials(Task::Container, None, 7000..7006),
        latency: ChunkLatency::Fixed(0.1),
        replan_steps: Some(3),
        time_limit_s: 15.0,
        shuffle_cameras,
        out: folder.path().join("eval"),
        videos: 0,
    };
    let network = SimNetwork::load(Path::new(SHIPPED), options()).unwrap();
    let mut candidates = [EvaluatedPolicy::Network(Box::new(network))];
    let evaluated = evaluation.run(&mut candidates, |_| ()).unwrap();
    let trials = evaluated.report.trials.iter();
    trials.filter(|trial| trial.success).count()
}

/// The success rate is in docs/learning.md; this test only detects a broken policy.
#[test]
fn the_policy_that_ships_does_its_task_and_is_lost_with_the_pictures_of_another_episode() {
    assert!(successes(false) >= 3);
    assert!(successes(true) <= 1);
}

#[test]
fn a_diagnosis_finds_that_it_sees_and_goes_by_what_it_sees() {
    let of = DiagnosisOptions {
        checkpoint: Path::new(SHIPPED),
        policy: options(),
        frames: 24,
        seed: 990_001,
        jobs: 2,
    };
    let mut parts = Vec::new();
    let found = diagnose(&of, |part| parts.push(part)).unwrap();
    assert_eq!(parts, ["pointing", "expert", "recovery", "seeing"]);
    for seeing in &found.seeing {
        assert!(seeing.shown >= 6, "{seeing:?}");
    }
    // The adapter was trained by the actions after the tower had been trained, and is reliable for the wrist view alone.
    let wrist = found.seeing.iter().find(|seeing| seeing.camera == "wrist").unwrap();
    assert!(2 * wrist.found >= wrist.shown, "{wrist:?}");
    for of in [&found.choosing, &found.acting, &found.recovering] {
        assert_eq!(of.rows, 24);
        let [own, other] = [&of.policy, &of.shuffled].map(|errors| errors.whole.translation_mm.p50);
        assert!(own < 0.75 * other, "{own} mm, with other pictures {other} mm");
    }
    let text = found.to_string();
    assert!(
        text.contains("top views") && text.contains("| recovering | 24 |"),
        "{text}"
    );
}
