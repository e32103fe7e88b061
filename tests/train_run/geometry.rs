//! Tests of geometry targets in a run: each is computed once, and training does not depend on when.

use std::collections::HashMap;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tch::{Device, Kind};
use thinkvla::camera::patches::Grid;
use thinkvla::model::checkpoint::Placement;
use thinkvla::model::config::Precision;
use thinkvla::model::layers::parameters::{Parameter, ParameterLayout};
use thinkvla::model::vggt::target::Teacher;
use thinkvla::model::vggt::{self, Aggregator, VggtConfig};
use thinkvla::training::batch::VlaBatch;
use thinkvla::training::config::TrainingConfig;
use thinkvla::training::config::settings::GeometrySettings;
use thinkvla::training::data::vla_batches::Side;
use thinkvla::training::geometry::source::{TargetSource as _, Vggt};
use thinkvla::training::geometry::store::GeometryTargets;

use super::tiny_run::{RunFixture, bytes, metrics};
use super::{batch_source, same, sample_dataset};

/// Configuration of a tiny VGGT, whose features are as wide as the tiny checkpoint's geometry latents: 24 channels.
const TINY: VggtConfig = VggtConfig {
    img_size: 56,
    patch_size: 14,
    embed_dim: 12,
    num_heads: 3,
    vit_depth: 1,
    depth: 1,
    num_register_tokens: 4,
    rope_freq: 100.0,
};

const PLACE: Placement = Placement {
    device: Device::Cpu,
    compute: Some(Precision::Float32),
};

/// Writes random weights in the format of VGGT's published file.
fn write_vggt(path: &Path, config: &VggtConfig) {
    let layout = ParameterLayout::default();
    Aggregator::from_source(config, &layout).unwrap();
    let parameters = layout.into_parameters();
    let bytes =
        |parameter: &Parameter| -> Vec<u8> { parameter.draw(3).into_iter().flat_map(f32::to_le_bytes).collect() };
    let drawn: Vec<_> = parameters.iter().map(|one| (one, bytes(one))).collect();
    let views = drawn.iter().map(|(one, bytes)| {
        let shape = one.shape.iter().map(|n| *n as usize).collect();
        (one.key.as_str(), TensorView::new(Dtype::F32, shape, bytes).unwrap())
    });
    let notes = [
        ("img_size", config.img_size),
        ("patch_size", config.patch_size),
        ("embed_dim", config.embed_dim),
        ("num_heads", config.num_heads),
        ("vit_depth", config.vit_depth),
        ("depth", config.depth),
        ("num_register_tokens", config.num_register_tokens),
        ("rope_freq", config.rope_freq as i64),
    ];
    let notes: HashMap<String, String> = notes.map(|(key, value)| (key.into(), value.to_string())).into();
    safetensors::serialize_to_file(views, Some(notes), path).unwrap();
}

/// Writes a tiny VGGT that fits the tiny checkpoint.
pub fn write_tiny_vggt(path: &Path) {
    write_vggt(path, &TINY);
}

/// Lines of a configuration with alignment to a tiny VGGT.
pub const ALIGNED: &str = "geometry: {vggt: HERE/vggt.safetensors, cache: HERE/cache, compute: float32, rule: {resolution: \
                           small}}\n";

fn fixture() -> RunFixture {
    let fixture = RunFixture::new(ALIGNED);
    write_tiny_vggt(&fixture.path("vggt.safetensors"));
    fixture
}

fn aligned(fixture: &RunFixture) -> TrainingConfig {
    let mut config = fixture.load();
    config.method.geometry_weight = 0.5;
    config
}

pub fn targets(settings: &GeometrySettings) -> GeometryTargets {
    let vggt = Vggt::load(settings.vggt.as_ref().unwrap(), PLACE, settings.rule).unwrap();
    assert_eq!(vggt.width(), 24);
    GeometryTargets::open(&settings.cache, Box::new(vggt)).unwrap()
}

/// Number of rows of the recording.
const ROWS: u64 = 28;

#[test]
fn a_second_epoch_makes_nothing_and_sees_what_the_teacher_sees() {
    let fixture = fixture();
    let feed_of = || batch_source(&fixture, |config| config.method.geometry_weight = 0.5);
    let first = feed_of();
    let mut readers = first.readers().unwrap();
    // Enough batches to include every row.
    let batches: Vec<_> = (0..100)
        .map(|number| first.batch(Side::Trained, number, &mut readers).unwrap())
        .collect();
    assert_eq!(first.targets_made(), ROWS);
    let second = feed_of();
    let mut readers = second.readers().unwrap();
    for (number, batch) in (0..).zip(&batches) {
        let again = second.batch(Side::Trained, number, &mut readers).unwrap();
        let [made, read] = [batch, &again].map(|of| of.geometry_target.as_ref().unwrap());
        assert!(made.equal(read), "batch {number}");
    }
    assert_eq!(second.targets_made(), 0);
    // Computed again by the teacher, for each sample alone: the same to the bit.
    let settings = fixture.load().geometry;
    let vggt = vggt::load(settings.vggt.as_ref().unwrap(), PLACE).unwrap();
    let teacher = Teacher::new(vggt, settings.rule).unwrap();
    let Grid { h, w, .. } = batches[0].pictures.grids[0];
    let fresh: Vec<_> = sample_dataset::EPISODES
        .iter()
        .enumerate()
        .flat_map(|(episode, (_, length))| (0..*length).map(move |frame| (episode, frame)))
        .map(|(episode, frame)| {
            let views = sample_dataset::CAMERAS.map(|camera| sample_dataset::picture(camera, episode, frame));
            let target = teacher.target(&[&views], [h.into(), w.into()]).unwrap();
            target.flatten(0, 1).to_kind(Kind::BFloat16)
        })
        .collect();
    for batch in &batches {
        for target in batch.geometry_target.as_ref().unwrap().chunk(2, 0) {
            assert!(fresh.iter().any(|one| one.equal(&target)));
        }
    }
}

#[test]
fn pictures_that_are_shifted_and_cropped_move_their_targets_and_nothing_else() {
    let fixture = fixture();
    let batch = |shift, crop| {
        let batch_source = batch_source(&fixture, |config| {
            config.method.geometry_weight = 0.5;
            (config.data.augment.shift, config.data.augment.crop) = (shift, crop);
            config.data.drop_geometry = 0.5;
        });
        let mut readers = batch_source.readers().unwrap();
        batch_source.batch(Side::Trained, 3, &mut readers).unwrap()
    };
    let (plain, moved) = (batch(0.0, 0.0), batch(0.2, 0.2));
    assert!(same(&moved, &batch(0.2, 0.2)));
    assert!(!moved.pictures.pixels.equal(&plain.pictures.pixels));
    assert_eq!(moved.student, plain.student);
    assert!(moved.actions.equal(&plain.actions));
    let shown = |of: &VlaBatch| of.condition_mask.geometry.as_ref().unwrap().copy();
    assert!(shown(&moved).equal(&shown(&plain)));
    let target = |of: &VlaBatch| of.geometry_target.as_ref().unwrap().to_kind(Kind::Float);
    assert_eq!(target(&moved).size(), target(&plain).size());
    assert!(!target(&moved).equal(&target(&plain)));
    assert!(plain.geometry_weights.is_none());
    let weights = moved.geometry_weights.unwrap();
    assert_eq!(weights.size(), target(&plain).size()[..1]);
    assert!(weights.sum(Kind::Float).double_value(&[]) > 0.0);
}

#[test]
fn a_run_learns_the_same_from_targets_that_were_there() {
    let fixture = fixture();
    let train = |out: &str| {
        let mut config = aligned(&fixture);
        config.out = fixture.path(out);
        fixture.open(config, false).unwrap().train(Some(6)).unwrap()
    };
    let first = train("first");
    assert!(first.targets_made > 0);
    let second = train("second");
    assert!(second.targets_made < first.targets_made);
    assert!(bytes(&first.checkpoint) == bytes(&second.checkpoint));
    for scalars in metrics(&fixture.path("first")) {
        let loss = scalars["geometry"].as_f64().unwrap();
        assert!((0.0..2.0).contains(&loss), "{loss}");
    }
    let mut config = aligned(&fixture);
    (config.out, config.validation.share) = (fixture.path("third"), 0.4);
    config.validation.every_steps = 1;
    let outcome = fixture.open(config, false).unwrap().train(Some(1)).unwrap();
    assert!(outcome.held_out.unwrap().is_finite());
}

#[test]
fn a_teacher_that_is_missing_or_does_not_fit_is_refused_by_name() {
    let fixture = fixture();
    let refused = |change: &dyn Fn(&mut TrainingConfig)| {
        let mut config = aligned(&fixture);
        change(&mut config);
        fixture.open(config, false).err().unwrap()
    };
    let none = refused(&|config| config.geometry.vggt = None);
    assert!(
        none.contains("geometry.vggt: expected the file of VGGT's weights"),
        "{none}"
    );
    let wide = fixture.path("wide.safetensors");
    write_vggt(&wide, &VggtConfig { embed_dim: 24, ..TINY });
    let wide = refused(&|config| config.geometry.vggt = Some(wide.clone()));
    assert!(
        wide.contains("expected features of 24 channels") && wide.contains("found 48"),
        "{wide}"
    );
    let gone = refused(&|config| config.geometry.vggt = Some(fixture.path("gone.safetensors")));
    assert!(gone.contains("gone.safetensors"), "{gone}");
}
