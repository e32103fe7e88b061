//! Tests of StarVLA runs: they are read as StarVLA reads them.

mod normalisation;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use thinkvla::contract::{Contract, Resize};
use thinkvla::inspect::check::CheckpointCheck;
use thinkvla::model::checkpoint::convert::Conversion;
use thinkvla::model::checkpoint::convert::precision::{Measured, measure};
use thinkvla::model::checkpoint::{CheckpointOptions, Format, Manifest};
use thinkvla::model::config::{Precision, Proprio};
use thinkvla::model::init::variant::CheckpointVariant;

use crate::case::sets;
use crate::formats::{change, copy};
use crate::support::{contract_of, tiny};

/// A copy of the reference's run, to be changed.
struct Run {
    directory: tempfile::TempDir,
}

impl Run {
    fn new() -> Self {
        Self {
            directory: copy(&sets().join("starvla")),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// Changes one of the configurations.
    fn change(&self, name: &str, with: impl Fn(&mut Value)) -> &Self {
        let file = self.path().join(name);
        let mut config: Value = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        with(&mut config);
        // JSON is valid YAML.
        std::fs::write(file, config.to_string()).unwrap();
        self
    }

    /// Changes both configurations.
    fn change_both(&self, with: impl Fn(&mut Value)) -> &Self {
        self.change("config.yaml", &with).change("config.full.yaml", &with)
    }

    fn statistics(&self, with: impl Fn(&mut Value)) -> &Self {
        change(&self.path().join("dataset_statistics.json"), with);
        self
    }

    fn read(&self) -> Result<Manifest, String> {
        self.read_with(&CheckpointOptions::default())
    }

    fn read_for_robot(&self) -> Result<Manifest, String> {
        self.read_with(&CheckpointOptions {
            robot: Some(robot()),
            ..CheckpointOptions::default()
        })
    }

    fn read_with(&self, options: &CheckpointOptions) -> Result<Manifest, String> {
        Manifest::read(&self.path(), options).map_err(|e| e.to_string())
    }
}

fn robot() -> Contract {
    contract_of(&tiny(), &CheckpointVariant::default())
}

fn data(config: &mut Value) -> &mut Value {
    &mut config["datasets"]["vla_data"]
}

fn model(config: &mut Value) -> &mut Value {
    &mut config["framework"]["action_model"]
}

fn size(manifest: &Manifest) -> (u32, u32) {
    let Resize { width, height, .. } = manifest.contract.as_ref().unwrap().data.resize;
    (width, height)
}

#[track_caller]
fn notes(manifest: &Manifest, expected: &[&[&str]]) {
    assert_eq!(manifest.notes.len(), expected.len(), "{:#?}", manifest.notes);
    for parts in expected {
        let found = manifest
            .notes
            .iter()
            .any(|note| parts.iter().all(|part| note.contains(part)));
        assert!(found, "expected {parts:?} in {:#?}", manifest.notes);
    }
}

#[test]
fn images_are_as_wide_as_the_first_number_says() {
    let run = Run::new();
    run.change_both(|config| data(config)["obs_image_size"] = json!([320, 240]));
    assert_eq!(size(&run.read_for_robot().unwrap()), (320, 240));
    // Channels, height and width; the size of observations takes precedence.
    run.change_both(|config| data(config)["default_image_resolution"] = json!([3, 100, 200]));
    assert_eq!(size(&run.read_for_robot().unwrap()), (320, 240));
    run.change_both(|config| data(config)["obs_image_size"] = Value::Null);
    assert_eq!(size(&run.read_for_robot().unwrap()), (200, 100));
    run.change_both(|config| data(config)["default_image_resolution"] = Value::Null);
    assert_eq!(size(&run.read_for_robot().unwrap()), (224, 224));
    for wrong in [json!([3, 224, 224]), json!([224])] {
        run.change_both(|config| data(config)["obs_image_size"] = wrong.clone());
        let error = run.read_for_robot().unwrap_err();
        assert!(error.contains("obs_image_size: expected width and height"), "{error}");
    }
    run.change_both(|config| data(config)["obs_image_size"] = json!([0, 224]));
    assert!(run.read_for_robot().unwrap_err().contains("0 x 224 px"));
}

#[test]
fn the_size_of_images_survives_the_way_to_us_and_back() {
    let run = Run::new();
    run.change_both(|config| data(config)["obs_image_size"] = json!([320, 240]));
    let options = CheckpointOptions {
        robot: Some(robot()),
        ..CheckpointOptions::default()
    };
    let [ours, back] = ["ours", "back"].map(|name| run.directory.path().join(name));
    for (from, to, layout) in [
        (run.path(), &ours, Format::Thinkvla),
        (ours.clone(), &back, Format::Starvla),
    ] {
        let conversion = Conversion {
            to: layout,
            options: &options,
            variant: &CheckpointVariant::default(),
            seed: 0,
        };
        conversion.run(&from, to).unwrap();
    }
    let resize = Contract::load(&ours).unwrap().data.resize;
    assert_eq!((resize.width, resize.height), (320, 240));
    let written: Value = serde_saphyr::from_str(&std::fs::read_to_string(back.join("config.yaml")).unwrap()).unwrap();
    assert_eq!(written["datasets"]["vla_data"]["obs_image_size"], json!([320, 240]));
    assert_eq!(size(&Manifest::read(&back, &options).unwrap()), (320, 240));
}

#[test]
fn what_only_the_whole_configuration_says_is_not_lost() {
    let run = Run::new();
    // Settings that the process which wrote the file had not read.
    run.change("config.yaml", |config| {
        let data = data(config).as_object_mut().unwrap();
        data.retain(|key, _| key == "dataset_py" || key == "data_mix");
        model(config).as_object_mut().unwrap().remove("action_dim");
    });
    run.change("config.full.yaml", |config| {
        data(config)["include_state"] = json!("True")
    });
    let manifest = run.read().unwrap();
    let ours = manifest.thinkvla.as_ref().unwrap();
    assert_eq!((ours.proprio, ours.action_dim), (Proprio::Text, 7));
    assert!(ours.prompt.starts_with("Your task is {instruction}. To identify"));
    notes(&manifest, &[]);
    // Values that training filled in later are taken from the other file.
    run.change("config.full.yaml", |config| {
        let model = model(config).as_object_mut().unwrap();
        model.remove("action_horizon");
        model.remove("future_action_window_size");
    });
    assert_eq!(run.read().unwrap().thinkvla.unwrap().chunk_len, 8);
}

#[test]
fn where_both_configurations_differ_the_whole_one_counts_and_both_are_named() {
    let run = Run::new();
    run.change("config.yaml", |config| {
        data(config)["CoT_prompt"] = json!("Do {instruction}");
        data(config)["include_state"] = json!(true);
    });
    run.change("config.full.yaml", |config| {
        data(config)["include_state"] = json!(false)
    });
    let manifest = run.read().unwrap();
    let ours = manifest.thinkvla.as_ref().unwrap();
    assert!(ours.prompt.starts_with("Your task is") && ours.proprio == Proprio::None);
    notes(
        &manifest,
        &[
            &[
                "datasets.vla_data.CoT_prompt is \"Your task",
                "in config.full.yaml",
                "\"Do {instruction}\" in config.yaml",
            ],
            &["include_state is false in config.full.yaml and true in config.yaml; that of config.full.yaml is taken"],
        ],
    );
    let options = CheckpointOptions::default();
    let check = CheckpointCheck {
        options: &options,
        dataset: None,
        constant: &[],
    };
    assert!(
        check
            .run(&run.path())
            .to_string()
            .contains("note: datasets.vla_data.CoT_prompt is")
    );
    for name in ["config.yaml", "config.full.yaml"] {
        let run = Run::new();
        run.change(name, |config| config["framework"]["name"] = json!("QwenGR00T"));
        let error = run.read().unwrap_err();
        assert!(
            error.contains(name) && error.contains("expected QwenOFT, found QwenGR00T"),
            "{error}"
        );
    }
}

#[test]
fn either_configuration_alone_is_enough() {
    for other in ["config.yaml", "config.full.yaml"] {
        let run = Run::new();
        std::fs::remove_file(run.path().join(other)).unwrap();
        assert_eq!(run.read().unwrap().thinkvla.unwrap().chunk_len, 8);
    }
    let run = Run::new();
    run.change_both(|config| drop(config["framework"].as_object_mut().unwrap().remove("name")));
    assert!(
        run.read()
            .unwrap_err()
            .contains("framework.name: expected QwenOFT, found none")
    );
}

#[test]
fn the_horizon_counts_where_the_window_says_otherwise() {
    let run = Run::new();
    run.change_both(|config| model(config)["future_action_window_size"] = json!(15));
    let manifest = run.read().unwrap();
    assert_eq!(manifest.thinkvla.as_ref().unwrap().chunk_len, 8);
    notes(
        &manifest,
        &[&[
            "action_horizon is 8",
            "future_action_window_size, 15",
            "action_horizon counts",
        ]],
    );
    run.change_both(|config| drop(model(config).as_object_mut().unwrap().remove("action_horizon")));
    let manifest = run.read().unwrap();
    assert_eq!(manifest.thinkvla.as_ref().unwrap().chunk_len, 16);
    notes(&manifest, &[]);
}

fn dtypes(directory: &Path, options: &CheckpointOptions) -> Vec<(String, safetensors::Dtype)> {
    let manifest = Manifest::read(directory, options).unwrap();
    let keys: Vec<_> = manifest.files.keys().map(str::to_owned).collect();
    let dtype = |key: &String| manifest.files.get(key).unwrap().dtype;
    keys.iter().map(|key| (key.clone(), dtype(key))).collect()
}

#[test]
fn the_type_of_the_backbone_is_the_users_choice_and_rounding_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let convert = |from: &Path, to: &Path, dtype| {
        let options = CheckpointOptions {
            robot: Some(robot()),
            dtype,
            ..CheckpointOptions::default()
        };
        let conversion = Conversion {
            to: Format::Thinkvla,
            options: &options,
            variant: &CheckpointVariant::default(),
            seed: 0,
        };
        conversion.run(from, to).unwrap()
    };
    let run = sets().join("starvla/run");
    let single = convert(&run, &at("single"), Some(Precision::Float32));
    assert_eq!((single.acts_in, single.rounded.len()), (Some(Precision::Float32), 0));
    let ours = Manifest::read(&at("single"), &CheckpointOptions::default()).unwrap();
    assert_eq!(
        (ours.compute, ours.config().unwrap().thinkvla.compute),
        (Precision::Float32, Precision::Float32)
    );
    assert!(
        dtypes(&at("single"), &CheckpointOptions::default())
            .iter()
            .all(|(_, dtype)| *dtype == safetensors::Dtype::F32)
    );
    let half = convert(&at("single"), &at("half"), Some(Precision::Bfloat16));
    assert_eq!(half.acts_in, Some(Precision::Bfloat16));
    assert!(!half.rounded.is_empty() && half.rounded.iter().all(|key| key.starts_with("model.")));
    for (key, dtype) in dtypes(&at("half"), &CheckpointOptions::default()) {
        let backbone = key.starts_with("model.");
        assert_eq!(dtype == safetensors::Dtype::BF16, backbone, "{key}");
    }
    // Unchanged when no type is chosen.
    let same = convert(&run, &at("same"), None);
    assert_eq!((same.acts_in, same.rounded.len()), (Some(Precision::Bfloat16), 0));
    let kept = dtypes(&at("same"), &CheckpointOptions::default());
    assert!(kept.iter().any(|(_, dtype)| *dtype == safetensors::Dtype::BF16));
    let hash = |name: &str| {
        Manifest::read(&at(name), &CheckpointOptions::default())
            .unwrap()
            .files
            .hash()
    };
    assert_eq!(hash("half"), hash("same"));
    // What it costs, against the run and against what holds all of its digits.
    let options = CheckpointOptions {
        robot: Some(robot()),
        ..CheckpointOptions::default()
    };
    let cost = |from: &Path| match measure(from, &at("half"), &options).unwrap() {
        Measured::Cost(cost) => cost,
        other => panic!("{other:?}"),
    };
    let (of_run, of_single) = (cost(&run), cost(&at("single")));
    assert_eq!(of_run, of_single);
    assert!(1e-4 < of_run.largest && of_run.largest < 0.1, "{of_run:?}");
    assert!(
        0.0 < of_run.mean && of_run.mean < of_run.largest && of_run.observations > 1,
        "{of_run:?}"
    );
}
