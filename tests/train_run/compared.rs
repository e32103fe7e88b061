//! Test of a checkpoint on the rows that its run has held out.

use std::collections::BTreeSet;

use thinkvla::contract::Contract;
use thinkvla::eval::open_loop::{ComparedRows, compare};
use thinkvla::eval::viewer::Viewer;
use thinkvla::model::layers::device::DeviceChoice;
use thinkvla::model::policy::{Policy, PolicyOptions};
use thinkvla::training::checkpoint::Notes;
use thinkvla::training::data::mixture::Mixture;

use super::tiny_run::RunFixture;

#[test]
fn rows_held_out_are_of_episodes_that_the_run_never_draws() {
    let fixture = RunFixture::new("validation: {share: 0.4, every_steps: 2, batches: 1}\n");
    let checkpoint = fixture
        .open(fixture.load(), false)
        .unwrap()
        .train(Some(2))
        .unwrap()
        .checkpoint;
    let options = PolicyOptions {
        device: DeviceChoice::Cpu,
        threads: Some(1),
        ..PolicyOptions::default()
    };
    let viewer = Viewer::new(Policy::load(&checkpoint, options).unwrap()).unwrap();
    let drawn = ComparedRows {
        held_out: Notes::read(&checkpoint).unwrap().held_out_of(&fixture.path("data")),
        rows: None,
        seed: 0,
    };
    let mut compared = BTreeSet::new();
    let report = compare(viewer, &fixture.path("data"), drawn, |row| {
        compared.insert(row.at.episode);
    });
    let config = fixture.load();
    let mixture = Mixture::open(&config.data.datasets, &Contract::load(&checkpoint).unwrap()).unwrap();
    let [trained, held_out] = mixture.samplers(config.seed, config.validation.share).unwrap();
    let learned: BTreeSet<usize> = (0..100)
        .filter_map(|i| trained.place(i))
        .map(|place| place.at.episode)
        .collect();
    assert_eq!((compared.len(), learned.len()), (2, 1));
    assert!(compared.is_disjoint(&learned));
    assert_eq!(report.unwrap().rows as u64, held_out.rows());
}
