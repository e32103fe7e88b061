//! Tests of conversion between checkpoint layouts, which preserves the checkpoint.

use std::path::Path;

use safetensors::SafeTensors;
use thinkvla::contract::Contract;
use thinkvla::model::checkpoint::convert::{Conversion, Converted};
use thinkvla::model::checkpoint::weights::CheckpointPart;
use thinkvla::model::checkpoint::{CheckpointOptions, Format, Manifest};
use thinkvla::model::config::Precision;
use thinkvla::model::init::variant::CheckpointVariant;
use thinkvla::model::policy::{Policy, PolicyOptions};
use thinkvla::writer_lock::WriterLock;

use crate::case::{sets, tensors};
use crate::support::{checkpoint, contract_of, tiny};

fn convert(from: &Path, to: &Path, layout: Format) -> Result<Converted, String> {
    let options = CheckpointOptions {
        robot: Some(robot()),
        ..CheckpointOptions::default()
    };
    convert_with(from, to, (layout, &options))
}

fn convert_with(from: &Path, to: &Path, (layout, options): (Format, &CheckpointOptions)) -> Result<Converted, String> {
    let conversion = Conversion {
        to: layout,
        options,
        variant: &CheckpointVariant::default(),
        seed: 3,
    };
    conversion.run(from, to).map_err(|e| e.to_string())
}

fn robot() -> Contract {
    contract_of(&tiny(), &CheckpointVariant::default())
}

fn weights(directory: &Path) -> std::collections::HashMap<String, tch::Tensor> {
    let mut all = std::collections::HashMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            let bytes = std::fs::read(path).unwrap();
            all.extend(tensors(&SafeTensors::deserialize(&bytes).unwrap()));
        }
    }
    all
}

fn complete(directory: &Path) -> Manifest {
    let options = CheckpointOptions {
        robot: Some(robot()),
        ..CheckpointOptions::default()
    };
    let manifest = Manifest::read(directory, &options).unwrap();
    assert_eq!(
        manifest.coverage(CheckpointPart::Everything).unwrap().problems,
        Vec::<String>::new()
    );
    manifest
}

#[test]
fn hugging_face_becomes_ours_and_comes_back_bit_for_bit() {
    for set in ["deep", "every_layer", "ungrouped"] {
        let from = sets().join(set).join("checkpoint");
        let folder = tempfile::tempdir().unwrap();
        let (ours, back) = (folder.path().join("ours"), folder.path().join("back"));
        let made = convert(&from, &ours, Format::Thinkvla).unwrap();
        assert!(made.dropped.is_empty() && made.notes.is_empty());
        assert!(
            made.drawn.iter().all(|key| !key.starts_with("model.")),
            "{:?}",
            made.drawn
        );
        for added in [
            "geo_adapter.",
            "geo_proj.",
            "reason_adapter.",
            "reason_proj.",
            "action_model.",
        ] {
            assert!(made.drawn.iter().any(|key| key.starts_with(added)), "{added}");
        }
        let manifest = complete(&ours);
        assert_eq!(manifest.format, Format::Thinkvla);
        let anchor = manifest.thinkvla.as_ref().unwrap().anchors()[0].id;
        let returned = convert(&ours, &back, Format::HuggingFace).unwrap();
        assert_eq!(returned.dropped.len(), made.drawn.len());
        assert_eq!(complete(&back).format, Format::HuggingFace);
        let (before, after) = (weights(&from), weights(&back));
        assert_eq!(before.len(), after.len());
        for (key, old) in before {
            let new = after[&key].shallow_clone();
            if key.ends_with("embed_tokens.weight") || key == "lm_head.weight" {
                // The row of the anchor's token is new: it lies among the other rows and differs from the old one.
                let row = |table: &tch::Tensor| table.get(anchor).to_kind(tch::Kind::Float);
                assert!(row(&old) != row(&new), "{key} of {set}");
                assert!(row(&new).abs().max().double_value(&[]) < 0.5);
                let _ = (old.get(anchor).zero_(), new.get(anchor).zero_());
            }
            assert!(old == new, "{key} of {set}");
        }
    }
}

#[test]
fn the_same_seed_draws_the_same_and_another_does_not() {
    let from = sets().join("deep/checkpoint");
    let folder = tempfile::tempdir().unwrap();
    let options = CheckpointOptions::default();
    let hash = |name: &str, seed| {
        let to = folder.path().join(name);
        let conversion = Conversion {
            to: Format::Thinkvla,
            options: &options,
            variant: &CheckpointVariant::default(),
            seed,
        };
        conversion.run(&from, &to).unwrap();
        complete(&to).files.hash()
    };
    let first = hash("a", 1);
    assert_eq!(first, hash("b", 1));
    assert_ne!(first, hash("c", 2));
}

#[test]
fn a_run_becomes_ours_and_acts() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, back) = (folder.path().join("ours"), folder.path().join("back"));
    let run = sets().join("starvla/run");
    let made = convert(&run, &ours, Format::Thinkvla).unwrap();
    assert!(made.drawn.is_empty() && made.dropped.is_empty(), "{made:?}");
    let policy = Policy::load(&ours, PolicyOptions::default()).unwrap();
    let contract = policy.contract();
    assert_eq!(contract.robot, robot().robot);
    assert_eq!((contract.data.resize.width, contract.data.statistics[0].max), (48, 0.8));
    assert!(contract.model.as_ref().unwrap().weights.contains("steps_1000"));
    let returned = convert(&ours, &back, Format::Starvla).unwrap();
    assert!(returned.drawn.is_empty() && returned.dropped.is_empty() && returned.notes.is_empty());
    let (before, after) = (weights(&run.join("checkpoints")), weights(&back.join("final_model")));
    assert_eq!(before.len(), after.len());
    for (key, old) in before {
        assert!(old == after[&key], "{key}");
    }
}

#[test]
fn ours_loses_its_adapters_in_a_run_and_says_so() {
    let ours = checkpoint(1);
    let folder = tempfile::tempdir().unwrap();
    let error = convert(ours.path(), folder.path(), Format::Starvla).unwrap_err();
    assert!(error.contains("the head that StarVLA builds"), "{error}");
    let made = convert(
        &sets().join("deep/checkpoint"),
        &folder.path().join("ours"),
        Format::Thinkvla,
    );
    assert!(made.is_ok());
    let made = convert(&folder.path().join("ours"), &folder.path().join("run"), Format::Starvla).unwrap();
    assert_eq!(made.notes.len(), 3, "{:?}", made.notes);
    assert!(made.dropped.iter().any(|key| key.starts_with("geo_adapter.")));
    let options = CheckpointOptions {
        robot: Some(robot()),
        tag: Some("new_embodiment".into()),
        ..CheckpointOptions::default()
    };
    let manifest = Manifest::read(&folder.path().join("run"), &options).unwrap();
    assert_eq!(manifest.actions, robot().data.statistics);
}

#[test]
fn nothing_is_overwritten_and_nothing_is_made_of_a_damaged_checkpoint() {
    let ours = checkpoint(1);
    let error = convert(&sets().join("deep/checkpoint"), ours.path(), Format::Thinkvla).unwrap_err();
    assert!(error.contains("it exists"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = convert_with(
        &sets().join("starvla/run"),
        &folder.path().join("x"),
        (Format::Thinkvla, &CheckpointOptions::default()),
    );
    assert!(error.unwrap_err().contains("--robot FILE"));
    assert!(!folder.path().join("x/model.safetensors").exists());
}

/// Overwrites the first value of a tensor with these bytes.
fn overwrite(file: &Path, key: &str, value: &[u8]) {
    let mut bytes = std::fs::read(file).unwrap();
    let found = SafeTensors::deserialize(&bytes).unwrap();
    let place = found.tensor(key).unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize;
    bytes[place..place + value.len()].copy_from_slice(value);
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn values_that_are_not_finite_or_become_infinite_are_refused_and_nothing_is_left() {
    let key = "model.language_model.norm.weight";
    let stored_as = |dtype| CheckpointOptions {
        dtype: Some(dtype),
        ..CheckpointOptions::default()
    };
    let (exact, rounded) = (stored_as(Precision::Float32), stored_as(Precision::Bfloat16));
    let ours = checkpoint(1);
    let folder = tempfile::tempdir().unwrap();
    let (wide, to) = (folder.path().join("wide"), folder.path().join("to"));
    convert_with(ours.path(), &wide, (Format::Thinkvla, &exact)).unwrap();
    let file = wide.join("model.safetensors");
    for (value, shown) in [(f32::NAN, "found NaN"), (f32::INFINITY, "found inf")] {
        overwrite(&file, key, &value.to_le_bytes());
        for layout in [Format::Thinkvla, Format::HuggingFace] {
            let error = convert_with(&wide, &to, (layout, &exact)).unwrap_err();
            assert!(error.contains(key) && error.contains(shown), "{error}");
            assert!(!to.exists());
        }
    }
    overwrite(&file, key, &f32::MAX.to_le_bytes());
    let error = convert_with(&wide, &to, (Format::Thinkvla, &rounded)).unwrap_err();
    for part in [key, "3.4028235e38 does not fit BF16", "--dtype float32"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!to.exists());
    // What was there before stays alone.
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("mine"), b"mine").unwrap();
    convert_with(&wide, &to, (Format::Thinkvla, &rounded)).unwrap_err();
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 1);
    convert_with(&wide, &to, (Format::Thinkvla, &exact)).unwrap();
    assert!(to.join("model.safetensors").exists() && !to.join("model.part").exists());
}

#[test]
fn a_directory_that_somebody_else_writes_to_is_refused() {
    let (from, to) = (checkpoint(7), tempfile::tempdir().unwrap());
    let lock = WriterLock::acquire(to.path()).unwrap();
    let error = convert(from.path(), to.path(), Format::HuggingFace).unwrap_err();
    assert!(error.contains("to be the only writer"), "{error}");
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 1);
    drop(lock);
    convert(from.path(), to.path(), Format::HuggingFace).unwrap();
}
