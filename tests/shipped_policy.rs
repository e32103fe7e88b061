//! The policy that ships does a task in closed loop, and only when it sees it.
#![cfg(all(feature = "sim", feature = "torch"))]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may panic

use std::path::Path;

use thinkvla::control::config::ArmConfig;
use thinkvla::eval::closed_loop::{Candidate, Evaluation, Latency, Network, NetworkOptions, trials};
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::tasks::Task;

/// Successes of six trials of the container task.
fn successes(shuffle_cameras: bool) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let evaluation = Evaluation {
        sim: SimConfig::shipped().unwrap(),
        arm: ArmConfig::shipped().unwrap(),
        trials: trials(Task::Container, None, 7000..7006),
        latency: Latency::Fixed(0.1),
        replan_steps: Some(3),
        time_limit_s: 15.0,
        shuffle_cameras,
        out: folder.path().join("eval"),
        videos: 0,
    };
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/small");
    let options = NetworkOptions {
        threads: Some(1),
        ..NetworkOptions::default()
    };
    let network = Network::load(&checkpoint, options).unwrap();
    let mut candidates = [Candidate::Network(Box::new(network))];
    let evaluated = evaluation.run(&mut candidates, |_| ()).unwrap();
    let trials = evaluated.report.trials.iter();
    trials.filter(|trial| trial.success).count()
}

/// Its rate is in docs/learning.md; this tells a policy that works from one that was broken on its way here.
#[test]
fn the_policy_that_ships_does_its_task_and_is_lost_with_the_pictures_of_another_episode() {
    assert!(successes(false) >= 3);
    assert!(successes(true) <= 1);
}
