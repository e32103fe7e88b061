//! Tests of `thinkvla eval` in closed loop: the expert's upper bound, repeatable trials, continuation of an evaluation that
//! was killed, and a valid report of an untrained policy.
#![cfg(all(feature = "sim", feature = "torch"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "network/support.rs"]
#[allow(dead_code)]
mod support;

use std::cell::Cell;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use thinkvla::contract::Contract;
use thinkvla::control::config::ArmConfig;
use thinkvla::eval::closed_loop::{ChunkLatency, EvaluatedPolicy, Evaluation, NetworkOptions, SimNetwork, trials};
use thinkvla::eval::journal::TRIALS;
use thinkvla::eval::trials::TrialsReport;
use thinkvla::model::layers::device::DeviceChoice;
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::tasks::Task;

fn evaluation(out: &Path, task: Task, seeds: u64) -> Evaluation {
    Evaluation {
        sim: SimConfig::shipped().unwrap(),
        arm: ArmConfig::shipped().unwrap(),
        trials: trials(task, None, 500..500 + seeds),
        latency: ChunkLatency::Fixed(0.1),
        replan_steps: None,
        time_limit_s: 20.0,
        shuffle_cameras: false,
        out: out.to_owned(),
        videos: 0,
    }
}

/// Evaluates an untrained policy on two threads.
fn lost(evaluation: &Evaluation) -> TrialsReport {
    let checkpoint = support::checkpoint(4);
    let options = NetworkOptions {
        device: DeviceChoice::Cpu,
        threads: Some(1),
        ..NetworkOptions::default()
    };
    let mut candidates =
        [(); 2].map(|()| EvaluatedPolicy::Network(Box::new(SimNetwork::load(checkpoint.path(), options).unwrap())));
    evaluation.run(&mut candidates, |_| {}).unwrap().report
}

/// An evaluation with a time limit of two simulated seconds a trial.
fn briefly(out: &Path) -> Evaluation {
    Evaluation {
        time_limit_s: 2.0,
        ..evaluation(out, Task::Height, 2)
    }
}

#[test]
fn the_expert_succeeds_at_every_task_although_its_chunks_come_late() {
    for task in Task::ALL {
        let out = tempfile::tempdir().unwrap();
        let done = evaluation(out.path(), task, 3).run(&mut [EvaluatedPolicy::Expert], |_| {});
        let report = done.unwrap().report;
        assert_eq!(report.groups[0].success.successes, 3, "{report}");
        assert!(report.trials.iter().all(|of| of.smoothness.seams > 5), "{report}");
        assert!(out.path().join("trials.png").exists());
    }
}

#[test]
fn an_evaluation_that_was_killed_ends_as_one_that_was_not() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let run = |folder: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thinkvla"));
        command.args([
            "eval",
            "--checkpoint",
            "expert",
            "--task",
            "position",
            "--episodes",
            "6",
            "--seed",
            "500",
        ]);
        command.args(["--videos", "1", "--out"]).arg(folder);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let [whole, killed] = folders.each_ref().map(|folder| folder.path());
    assert!(run(whole).status().unwrap().success());
    let path = killed.join(TRIALS);
    let lines = || std::fs::read_to_string(&path).unwrap_or_default().lines().count();
    let mut child = run(killed).spawn().unwrap();
    while lines() < 3 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lines() < 7, "all trials were made before the kill");
    assert!(run(killed).status().unwrap().success());
    for name in [TRIALS, "trials.png", "videos/position-0-500.mp4"] {
        let [whole, killed] = [whole, killed].map(|folder| std::fs::read(folder.join(name)).unwrap());
        assert!(whole == killed, "{name} differs");
    }
}

#[test]
fn a_line_that_was_half_written_is_made_again_and_no_other() {
    let out = tempfile::tempdir().unwrap();
    let evaluation = evaluation(out.path(), Task::Position, 3);
    let whole = evaluation.run(&mut [EvaluatedPolicy::Expert], |_| {}).unwrap().report;
    let path = out.path().join(TRIALS);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 25]).unwrap();
    let made = Cell::new(0);
    let again = evaluation.run(&mut [EvaluatedPolicy::Expert], |_| made.set(made.get() + 1));
    assert_eq!((made.get(), again.unwrap().report), (1, whole));
}

#[test]
fn a_policy_that_knows_nothing_fails_and_its_report_repeats() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [first, second] = folders.each_ref().map(|folder| lost(&briefly(folder.path())));
    assert_eq!(first, second);
    let success = first.groups[0].success;
    assert_eq!((success.successes, success.trials), (0, 2));
    assert!(
        success.low == 0.0 && success.high > 0.5,
        "two trials tell little: {first}"
    );
    assert!(first.trials.iter().all(|of| of.chunks + of.refusals > 0), "{first}");
}

#[test]
fn what_a_trial_sees_does_not_depend_on_the_trials_before_it() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let both = lost(&briefly(folders[0].path()));
    let mut second = briefly(folders[1].path());
    second.trials.remove(0);
    assert_eq!(lost(&second).trials[0], both.trials[1]);
}

#[test]
fn a_policy_with_another_episode_s_cameras_acts_on_what_they_see() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let own = lost(&briefly(folders[0].path()));
    let shuffled = lost(&Evaluation {
        shuffle_cameras: true,
        ..briefly(folders[1].path())
    });
    assert!(shuffled.to_string().contains("cameras of other episodes"), "{shuffled}");
    assert_ne!(own.trials[0].smoothness, shuffled.trials[0].smoothness);
}

#[test]
fn a_checkpoint_of_another_robot_is_refused_by_the_field() {
    let checkpoint = support::checkpoint(4);
    let mut contract = Contract::load(checkpoint.path()).unwrap();
    contract.robot.cameras[1].name = "shoulder".into();
    contract.save(checkpoint.path()).unwrap();
    let refused = SimNetwork::load(checkpoint.path(), NetworkOptions::default());
    let refused = refused.err().unwrap().to_string();
    assert!(
        refused.contains("cameras[1].name") && refused.contains("shoulder"),
        "{refused}"
    );
}
