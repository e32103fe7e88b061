//! Tests of training runs: the result is the same after a kill, a full disk loses nothing, and errors are named.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

mod ablations;
mod action_columns;
#[path = "../support/command_line.rs"]
mod command_line;
mod compared;
#[path = "../support/foreign.rs"]
mod foreign;
mod geometry;
mod interrupted;
#[cfg(feature = "sim")]
mod points;
mod preflight;
#[path = "../support/sample_dataset/mod.rs"]
mod sample_dataset;
mod stages;
mod text;
#[path = "../support/tiny_run/mod.rs"]
mod tiny_run;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tch::Device;
use thinkvla::contract::Contract;
use thinkvla::model::checkpoint::{Checkpoint, Placement};
use thinkvla::model::thinkvla::prompt::Prompter;
use thinkvla::model::trainable::Selection;
use thinkvla::training::batch::VlaBatch;
use thinkvla::training::config::{DatasetShare, TrainingConfig};
use thinkvla::training::data::loader::{BatchSequence, Loader};
use thinkvla::training::data::mixture::Mixture;
use thinkvla::training::data::vla_batches::{Side, Teachers, VlaBatches, VlaSources};
use thinkvla::training::geometry::GeometryTeacher;
use tiny_run::{RunFixture, bytes, metrics};

#[test]
fn two_hundred_steps_are_a_hundred_then_a_kill_then_a_hundred() {
    let fixture = RunFixture::new(&format!(
        "{}validation: {{every_steps: 40}}\n",
        tiny_run::questions::SECTION
    ));
    let whole = fixture.path("whole");
    assert!(
        fixture
            .command(&["--out", whole.to_str().unwrap()])
            .status()
            .unwrap()
            .success()
    );
    let mut killed = fixture.command(&[]).spawn().unwrap();
    let hundred = fixture.path("out/step-00000100");
    while !hundred.exists() {
        assert!(killed.try_wait().unwrap().is_none(), "ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!fixture.path("out/step-00000200").exists());
    assert!(fixture.command(&["--resume"]).status().unwrap().success());
    let last = "step-00000200";
    assert!(bytes(&whole.join(last)) == bytes(&fixture.path("out").join(last)));
    let (whole, out) = (metrics(&whole), metrics(&fixture.path("out")));
    assert_eq!(whole, out);
    assert_eq!(whole.len(), 200);
    let mean = |part: &[Value]| part.iter().map(|s| s["action"].as_f64().unwrap()).sum::<f64>() / part.len() as f64;
    assert!(mean(&whole[180..]) < 0.8 * mean(&whole[..20]), "it does not learn");
    let held_out = |step: usize| whole[step - 1]["held_out_text"].as_f64().unwrap();
    assert!(held_out(200) < 0.9 * held_out(40), "it does not learn to answer");
}

#[test]
fn differences_of_low_rank_are_resumed_to_the_bit() {
    let fixture = RunFixture::new("selection: {train: lora, rank: 2, alpha: 4, modules: [q_proj, v_proj]}\n");
    let config = fixture.load();
    assert!(matches!(config.selection, Selection::Lora { .. }));
    let whole = TrainingConfig {
        out: fixture.path("whole"),
        ..config.clone()
    };
    let whole = fixture.open(whole, false).unwrap().train(Some(8)).unwrap();
    fixture.open(config.clone(), false).unwrap().train(Some(3)).unwrap();
    let resumed = fixture.open(config, true).unwrap().train(Some(8)).unwrap();
    assert!(bytes(&whole.checkpoint) == bytes(&resumed.checkpoint));
}

#[test]
fn a_run_leaves_a_checkpoint_that_can_act_with_the_statistics_of_its_data() {
    let fixture = RunFixture::new("validation: {share: 0.4, every_steps: 2, batches: 2}\nname: lifted\n");
    let outcome = fixture.open(fixture.load(), false).unwrap().train(Some(4)).unwrap();
    let last = metrics(&fixture.path("out")).pop().unwrap();
    let of = |name: &str| last[name].as_f64().unwrap();
    assert_eq!(Some(of("held_out")), outcome.held_out);
    // Other images give other errors.
    assert!(of("held_out_constant") > 0.0, "{last}");
    assert!(
        of("held_out_shuffled") > 0.0 && of("held_out_shuffled") != of("held_out"),
        "{last}"
    );
    let placement = Placement {
        device: Device::Cpu,
        compute: None,
    };
    let trained = Checkpoint::load(&outcome.checkpoint, placement).unwrap();
    let data = Contract::load(&fixture.path("data")).unwrap();
    assert_eq!(trained.contract.robot, data.robot);
    assert_eq!(trained.contract.model.unwrap().weights, "lifted");
    // The last row of the last episode: 2 (4 · 2 + 8 / 16).
    let x = &trained.contract.data.statistics[0];
    assert_eq!((x.min, x.max), (0.0, 17.0));
}

#[test]
fn a_run_that_runs_layers_again_learns_the_same() {
    let fixture = RunFixture::new("");
    let losses = |recompute| {
        let mut config = fixture.load();
        config.method.recompute = recompute;
        config.out = fixture.path(if recompute { "again" } else { "once" });
        fixture.open(config.clone(), false).unwrap().train(Some(6)).unwrap();
        metrics(&config.out)
            .iter()
            .map(|s| s["total"].as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    for (once, again) in losses(false).iter().zip(losses(true)) {
        assert!((once - again).abs() <= 1e-4 * once, "{once} {again}");
    }
}

#[test]
fn only_the_last_checkpoints_and_the_best_are_kept() {
    let fixture = RunFixture::new("validation: {share: 0.4, every_steps: 1, batches: 1}\n");
    let mut config = fixture.load();
    (config.checkpoints.every_steps, config.checkpoints.keep) = (1, 2);
    fixture.open(config.clone(), false).unwrap().train(Some(6)).unwrap();
    let errors: Vec<f64> = metrics(&config.out)
        .iter()
        .map(|s| s["held_out"].as_f64().unwrap())
        .collect();
    let best = (0..6).min_by(|a, b| errors[*a].total_cmp(&errors[*b])).unwrap() + 1;
    let mut expected = vec![5, 6, best];
    expected.sort_unstable();
    expected.dedup();
    let kept = (1..=6).filter(|step| config.out.join(format!("step-{step:08}")).exists());
    assert_eq!(kept.collect::<Vec<_>>(), expected);
}

#[test]
fn a_disk_full_at_a_checkpoint_is_named_and_nothing_earlier_is_lost() {
    let fixture = RunFixture::new("");
    fixture.open(fixture.load(), false).unwrap().train(Some(3)).unwrap();
    let before = bytes(&fixture.path("out/step-00000003"));
    // No file may grow beyond 100 kB: to the program it looks like a full disk.
    let limited = "trap '' XFSZ; ulimit -f 100; exec \"$0\" train \"$1\" --resume --max-steps 5";
    let output = Command::new("bash")
        .args(["-c", limited, env!("CARGO_BIN_EXE_thinkvla")])
        .arg(&fixture.config)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        message.contains("checkpoint of step 5") && message.contains("File too large"),
        "{message}"
    );
    assert!(bytes(&fixture.path("out/step-00000003")) == before);
    assert!(!fixture.path("out/step-00000005").exists());
    let resumed = fixture.open(fixture.load(), true).unwrap();
    assert_eq!(resumed.step(), 3);
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_by_name() {
    let fixture = RunFixture::new("");
    let mut config = fixture.load();
    config.schedule.constant = true;
    config.optimiser.learning_rates.qwen_vl_interface = 1e30;
    config.optimiser.learning_rates.action_model = 1e30;
    let error = fixture
        .open(config, false)
        .unwrap()
        .train(Some(20))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("step ") && error.contains("expected a finite number"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_trained_or_resumed_is_refused_by_name() {
    let fixture = RunFixture::new("");
    let config = fixture.load();
    let refused = |config: TrainingConfig, resume| fixture.open(config, resume).err().unwrap();
    fixture.open(config.clone(), false).unwrap().train(Some(1)).unwrap();
    assert!(refused(config.clone(), false).contains("--resume"));
    let mut other = config;
    other.seed = 1;
    assert!(refused(other, true).contains("seed is not what it was"));
}

fn batch_source(fixture: &RunFixture, change: impl FnOnce(&mut TrainingConfig)) -> Arc<VlaBatches> {
    let mut config = fixture.load();
    change(&mut config);
    let placement = Placement {
        device: Device::Cpu,
        compute: None,
    };
    let checkpoint = Checkpoint::load(&config.checkpoint, placement).unwrap();
    let mixture = Mixture::open(&config.data.datasets, &checkpoint.contract).unwrap();
    let samplers = mixture.samplers(config.seed, 0.0).unwrap();
    let prompter = Prompter::new(checkpoint.tokenizer, &checkpoint.config).unwrap();
    let teachers = Teachers {
        reasoning: true,
        geometry: (config.method.geometry_weight > 0.0)
            .then(|| GeometryTeacher::Vggt(geometry::targets(&config.geometry))),
    };
    let sources = VlaSources {
        mixture,
        samplers,
        prompter,
        teachers,
        settings: config.data,
        seed: config.seed,
    };
    Arc::new(VlaBatches::new(sources, &checkpoint.config).unwrap())
}

fn all_from(first: u64) -> BatchSequence {
    BatchSequence { first, every: 1 }
}

fn same(a: &VlaBatch, b: &VlaBatch) -> bool {
    a.student == b.student
        && a.teacher == b.teacher
        && a.actions.equal(&b.actions)
        && a.valid.equal(&b.valid)
        && a.pictures.pixels.equal(&b.pictures.pixels)
}

#[test]
fn batches_do_not_depend_on_threads_nor_on_where_a_run_begins() {
    let fixture = RunFixture::new("");
    let batch_source = batch_source(&fixture, |_| ());
    let mut one = Loader::start(&batch_source, all_from(0), 1, 1);
    let mut three = Loader::start(&batch_source, all_from(2), 3, 2);
    let first: Vec<_> = (0..8).map(|_| one.take().unwrap()).collect();
    for batch in &first[2..] {
        assert!(same(batch, &three.take().unwrap()));
    }
    assert!(!same(&first[0], &first[1]));
}

#[test]
fn steps_behind_the_end_of_an_episode_count_or_do_not_as_one_says() {
    let fixture = RunFixture::new("");
    let ones = |learn| {
        let batch_source = batch_source(&fixture, |config| {
            config.data.learn_padding = learn;
            config.data.batch = 32;
        });
        let batch = batch_source
            .batch(Side::Trained, 0, &mut batch_source.readers().unwrap())
            .unwrap();
        assert_eq!(batch.actions.size(), [32, 4, 7]);
        f64::try_from(batch.valid.sum(tch::Kind::Double)).unwrap()
    };
    assert_eq!(ones(true), 128.0);
    let masked = ones(false);
    assert!((32.0..128.0).contains(&masked), "{masked}");
}

#[test]
fn a_picture_that_is_missing_is_named_and_what_was_saved_stays() {
    let fixture = RunFixture::new("");
    let config = fixture.load();
    fixture.open(config.clone(), false).unwrap().train(Some(2)).unwrap();
    let before = bytes(&fixture.path("out/step-00000002"));
    let data = fixture.path("data");
    let file = data.join("data/chunk-000/file-000.parquet");
    let mut rows = std::fs::read(&file).unwrap();
    for at in 0..rows.len() - 4 {
        if rows[at..].starts_with(b"IDAT") {
            rows[at..at + 4].copy_from_slice(b"LOST");
        }
    }
    std::fs::write(&file, rows).unwrap();
    let error = fixture
        .open(config, true)
        .and_then(|mut run| run.train(Some(4)).map_err(|e| e.to_string()))
        .unwrap_err();
    assert!(
        error.contains("data: episode ") && error.contains("observation.images.top"),
        "{error}"
    );
    assert!(bytes(&fixture.path("out/step-00000002")) == before);
}

#[test]
fn a_camera_that_is_missing_is_named() {
    let fixture = RunFixture::new("");
    let mut contract = Contract::read(&fixture.path("data/contract.yaml")).unwrap();
    contract.robot.cameras[1].name = "shoulder".into();
    contract.save(&fixture.path("data")).unwrap();
    let error = fixture.open(fixture.load(), false).err().unwrap();
    assert!(error.contains("observation.images.shoulder"), "{error}");
}

#[test]
fn data_that_does_not_cover_an_action_dimension_is_named() {
    let fixture = RunFixture::new("");
    let path = fixture.path("start/contract.yaml");
    let mut contract = Contract::read(&path).unwrap();
    contract.data.action_space = thinkvla::contract::ActionSpace::Joint8;
    let share = DatasetShare {
        path: fixture.path("data"),
        weight: 1.0,
    };
    // Statistics of tool actions for a column of joints.
    let error = Mixture::open(&[share], &contract).unwrap_err().to_string();
    assert!(
        error.contains("action.joint: expected the values x, y") && error.contains("and no x"),
        "{error}"
    );
}
