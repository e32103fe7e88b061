//! Tests of checkpoint directories: they load completely, or the error names every defect.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use safetensors::tensor::{SafeTensors, TensorView};
use safetensors::{Dtype, serialize};
use thinkvla::camera::preprocess::Preprocessor;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::Contract;
use thinkvla::model::config::Config;
use thinkvla::model::init::copied::CopiedModules;
use thinkvla::model::init::presets::{NewCheckpoint, Preset};
use thinkvla::model::init::variant::CheckpointVariant;
use thinkvla::model::init::{InitScheme, InitialCheckpoint};
use thinkvla::model::policy::{Observation, Policy, PolicyOptions};

use crate::support::{checkpoint, contract_of, grid, pixels, real_tokenizer, tiny, tokenizer, write_checkpoint};

fn load(directory: &Path) -> Result<Policy, String> {
    Policy::load(directory, PolicyOptions::default()).map_err(|e| e.to_string())
}

fn values(config: &Config, grids: &[thinkvla::camera::patches::Grid]) -> Vec<f32> {
    Vec::<f32>::try_from(pixels(config, grids, 1).flatten(0, -1)).unwrap()
}

#[test]
fn a_new_checkpoint_acts() {
    let directory = checkpoint(7);
    let mut policy = load(directory.path()).unwrap();
    let grids = [grid(4, 4), grid(4, 4)];
    let pixel_values = values(policy.config(), &grids);
    let mut act = |instruction| {
        let observation = Observation {
            pixel_values: &pixel_values,
            grids: &grids,
            state: &[],
            instruction,
        };
        policy.act(&observation).unwrap().actions
    };
    let first = act("lift the cube");
    assert_eq!((first.horizon(), first.values().len()), (4, 28));
    assert_ne!(first, act("push the plate"));
    assert_eq!(first, act("lift the cube"), "the same moment gives the same chunk");
    assert_eq!(policy.contract().model.as_ref().unwrap().weights, "untrained");
}

#[test]
fn a_bad_observation_is_refused_and_the_policy_goes_on() {
    let directory = checkpoint(7);
    let mut policy = load(directory.path()).unwrap();
    let grids = [grid(4, 4), grid(4, 4)];
    let pixel_values = values(policy.config(), &grids);
    let mut act = |pixel_values: &[f32], grids: &[_], instruction: &str| {
        let observation = Observation {
            pixel_values,
            grids,
            state: &[],
            instruction,
        };
        policy
            .act(&observation)
            .map(|output| output.actions)
            .map_err(|e| e.to_string())
    };
    let refusals = [
        (act(&pixel_values, &grids[..1], "lift it"), "2 views"),
        (act(&pixel_values[1..], &grids, "lift it"), "32 patches of 1536 values"),
        (
            act(&pixel_values, &[grid(5, 4), grid(3, 4)], "lift it"),
            "multiples of 2",
        ),
        (act(&pixel_values, &grids, "🔍"), "control token"),
        (act(&vec![f32::NAN; pixel_values.len()], &grids, "lift it"), "finite"),
    ];
    for (result, expected) in refusals {
        let error = result.unwrap_err();
        assert!(error.contains(expected), "expected {expected:?} in {error:?}");
    }
    assert!(act(&pixel_values, &grids, "lift it").is_ok());
}

#[test]
fn the_hash_names_the_weights() {
    let hash = |seed| load(checkpoint(seed).path()).unwrap().checkpoint_hash().to_owned();
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
    assert_eq!(hash(1).len(), 64);
}

/// Rewrites the weights after a change to the table of tensors.
fn tamper(directory: &Path, change: impl Fn(&mut BTreeMap<String, TensorView>)) {
    let path = directory.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: BTreeMap<String, TensorView> = file.tensors().into_iter().collect();
    change(&mut tensors);
    std::fs::write(&path, serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn every_tensor_that_does_not_fit_is_named_at_once() {
    let directory = checkpoint(7);
    tamper(directory.path(), |tensors| {
        tensors.remove("model.language_model.layers.1.self_attn.k_norm.weight");
        let head = tensors.remove("action_model.model.fc2.weight").unwrap();
        tensors.insert("action_model.model.fc3.weight".into(), head);
        let of = |shape: &[usize], dtype| TensorView::new(dtype, shape.to_vec(), &[0; 64]).unwrap();
        tensors.insert("geo_adapter.fc1.bias".into(), of(&[32], Dtype::BF16));
        tensors.insert("model.visual.merger.norm.bias".into(), of(&[16], Dtype::I32));
    });
    let error = load(directory.path()).unwrap_err();
    for expected in [
        "5 problems",
        "missing: model.language_model.layers.1.self_attn.k_norm.weight, expected shape [16]",
        "missing: action_model.model.fc2.weight, expected shape [7, 40]",
        "extra: action_model.model.fc3.weight",
        "shape of geo_adapter.fc1.bias: expected [24], found [32]",
        "type of model.visual.merger.norm.bias: expected F32, BF16 or F16, found I32",
    ] {
        assert!(error.contains(expected), "expected {expected:?} in {error}");
    }
}

#[test]
fn the_text_head_may_be_in_the_file() {
    let directory = checkpoint(7);
    tamper(directory.path(), |tensors| {
        let embedding = tensors["model.language_model.embed_tokens.weight"].clone();
        tensors.insert("lm_head.weight".into(), embedding);
    });
    assert!(load(directory.path()).is_ok());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    for name in ["config.json", "tokenizer.json", "model.safetensors", "contract.yaml"] {
        let directory = checkpoint(7);
        std::fs::remove_file(directory.path().join(name)).unwrap();
        let error = load(directory.path()).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_truncated_file_is_an_error_and_never_a_panic(
        name in prop::sample::select(vec!["config.json", "tokenizer.json", "model.safetensors", "contract.yaml"]),
        share in 0.0..0.99f64,
    ) {
        let directory = checkpoint(7);
        let path = directory.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..(bytes.len() as f64 * share) as usize]).unwrap();
        let error = load(directory.path()).unwrap_err();
        prop_assert!(error.contains(name) || name == "contract.yaml", "{}", error);
    }
}

#[test]
fn configuration_and_contract_must_mean_the_same_actions() {
    let directory = checkpoint(7);
    let mut config = tiny();
    config.thinkvla.chunk_len = 5;
    config.save(directory.path()).unwrap();
    let error = load(directory.path()).unwrap_err();
    assert!(
        error.contains("thinkvla.chunk_len: expected model.chunk_len of contract.yaml, 4, found 5"),
        "{error}"
    );
    let mut contract = Contract::load(directory.path()).unwrap();
    contract.model = None;
    contract.save(directory.path()).unwrap();
    assert!(
        load(directory.path())
            .unwrap_err()
            .contains("the contract of a dataset")
    );
    contract.data.statistics.pop();
    contract.save(directory.path()).unwrap();
    assert!(
        load(directory.path())
            .unwrap_err()
            .contains("data.statistics: expected 7 entries")
    );
}

#[test]
fn weights_are_never_overwritten() {
    let directory = checkpoint(7);
    let before = load(directory.path()).unwrap().checkpoint_hash().to_owned();
    let error = write_checkpoint(directory.path(), 8).unwrap_err().to_string();
    assert!(error.contains("it exists"), "{error}");
    assert_eq!(load(directory.path()).unwrap().checkpoint_hash(), before);
}

#[test]
fn a_new_checkpoint_copies_the_modules_that_are_named() {
    let (from, to, drawn) = (checkpoint(7), tempfile::tempdir().unwrap(), checkpoint(8));
    let modules = ["model.visual.blocks".to_owned()];
    let write = |modules: &[String]| {
        let config = tiny();
        let new = InitialCheckpoint {
            config: &config,
            contract: &contract_of(&config, &CheckpointVariant::default()),
            tokenizer: &tokenizer(),
            seed: 8,
            scheme: InitScheme::Reference,
            copied: Some(CopiedModules {
                checkpoint: from.path(),
                modules,
            }),
        };
        new.write(to.path()).map_err(|e| e.to_string())
    };
    let error = write(&["model.visual.block".to_owned()]).unwrap_err();
    assert!(error.contains("model.visual.block"), "{error}");
    write(&modules).unwrap();
    let read = |directory: &Path| std::fs::read(directory.join("model.safetensors")).unwrap();
    let bytes = [from.path(), to.path(), drawn.path()].map(read);
    let [from, to, drawn] = [0, 1, 2].map(|nth| SafeTensors::deserialize(&bytes[nth]).unwrap());
    for (key, tensor) in to.tensors() {
        let origin = if key.starts_with("model.visual.blocks.") {
            &from
        } else {
            &drawn
        };
        assert_eq!(tensor.data(), origin.tensor(&key).unwrap().data(), "{key}");
    }
    let key = "model.visual.blocks.0.attn.qkv.weight";
    assert_ne!(to.tensor(key).unwrap().data(), drawn.tensor(key).unwrap().data());
}

#[test]
fn the_small_size_is_small_and_acts() {
    let Some(tokenizer) = real_tokenizer() else {
        eprintln!("skipped: THINKVLA_TOKENIZER names no file");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let new = NewCheckpoint {
        size: Preset::Small,
        seed: 0,
        tokenizer: &tokenizer,
        robot: None,
        variant: &CheckpointVariant::default(),
        copied: None,
    };
    let made = new.write(directory.path()).unwrap();
    assert!(made.parameters <= 12_000_000, "{made:?}");
    assert!(made.vocabulary <= 4096, "{made:?}");
    let files = std::fs::read_dir(directory.path()).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes <= 30_000_000, "{bytes} bytes");
    let mut policy = load(directory.path()).unwrap();
    let mut frames = Preprocessor::new(policy.contract().data.resize, policy.config().patch_rule()).unwrap();
    for camera in &policy.contract().robot.cameras {
        frames.push_rgb(&RgbImage::new(camera.width, camera.height)).unwrap();
    }
    assert_eq!(frames.input().grids, [grid(8, 8), grid(8, 8)]);
    let observation = Observation {
        pixel_values: &frames.input().pixel_values,
        grids: &frames.input().grids,
        state: &[],
        instruction: "pick up the red cube.",
    };
    let chunk = policy.act(&observation).unwrap().actions;
    assert_eq!((chunk.horizon(), chunk.values().len()), (8, 56));
}

#[test]
fn the_large_size_has_the_parameters_of_its_reference() {
    let Some(path) = real_tokenizer() else {
        eprintln!("skipped: THINKVLA_TOKENIZER names no file");
        return;
    };
    let mut tokenizer = tokenizers::Tokenizer::from_file(path).unwrap();
    tokenizer.add_special_tokens(&[tokenizers::AddedToken::from("<|reasoning_anchor|>", true)]);
    let layout =
        thinkvla::model::thinkvla::network::Network::layout(&Preset::Qwen3Vl2b.config(&tokenizer).unwrap()).unwrap();
    let backbone: Vec<_> = layout.iter().filter(|p| p.key.starts_with("model.")).collect();
    assert_eq!(backbone.len(), 625);
    assert_eq!(backbone.iter().map(|p| p.count()).sum::<usize>(), 2_127_532_032);
}
