//! Tests of a StarVLA Qwen3-VL-OFT run: its actions equal those in PyTorch.

use std::path::Path;

use serde_json::to_value;
use tch::{Device, Kind, Tensor};
use thinkvla::model::checkpoint::Preprocessing;
use thinkvla::model::checkpoint::weights::{Naming, TensorSelection, WeightFiles, Weights};
use thinkvla::model::config::{Config, HiddenTap, Precision};
use thinkvla::model::init::variant::CheckpointVariant;
use thinkvla::model::qwen3_vl::inputs::SequencePlan;
use thinkvla::model::qwen3_vl::vision_plan::VisionPlan;
use thinkvla::model::thinkvla::network::{Network, Output};
use thinkvla::model::thinkvla::prompt::Prompter;
use tokenizers::Tokenizer;

use crate::case::{Case, sets};
use crate::stored::{Stored, json_file};
use crate::support::{distance, tiny_variant};

/// Configuration of the run in `folder`.
fn config(folder: &Path) -> Config {
    let baseline = CheckpointVariant {
        baseline: true,
        ..CheckpointVariant::default()
    };
    let mut ours = tiny_variant(&baseline).thinkvla;
    let tokenizer = Tokenizer::from_file(folder.join("base/tokenizer.json")).unwrap();
    ours.action_token_id = tokenizer.token_to_id("ðŁĶį").unwrap().into();
    (ours.chunk_len, ours.head_hidden, ours.head_blocks) = (8, 64, 2);
    ours.compute = Precision::Float32;
    let mut file = json_file(&folder.join("base/config.json"));
    file["thinkvla"] = to_value(&ours).unwrap();
    serde_json::from_value(file).unwrap()
}

fn act(folder: &Path, case: &Case, (config, kind): (&Config, Kind)) -> Output {
    let _no_grad = tch::no_grad_guard();
    let file = folder.join("run/checkpoints/steps_1000_model.safetensors");
    let files = WeightFiles::of_files(&[file], Naming::StarVla).unwrap();
    let taking = TensorSelection {
        backbone: kind,
        device: Device::Cpu,
        tied: true,
    };
    let weights = Weights::new(&files, taking);
    let network = Network::new(config, &weights).unwrap();
    weights.finish().unwrap();
    let tokenizer = Tokenizer::from_file(folder.join("base/tokenizer.json")).unwrap();
    let prompter = Prompter::new(tokenizer, config).unwrap();
    let rule = Preprocessing::load(&folder.join("base"))
        .unwrap()
        .patch_rule(config)
        .unwrap();
    let (mut values, mut grids, mut prompts) = (Vec::new(), Vec::new(), Vec::new());
    for (message, row) in case.messages().iter().zip(0..) {
        let (own_values, own_grids) = Stored::cut(rule, &message.images);
        let instruction = case.metadata[&format!("instruction.{row}")].as_str();
        prompts.push(prompter.student(instruction, &own_grids).unwrap());
        values.extend(own_values);
        grids.extend(own_grids);
    }
    for (prompt, row) in prompts.iter().zip(0..) {
        let ids = case.expected("input_ids").get(row);
        let length = prompt.ids.len() as i64;
        let ids: Vec<i64> = ids.narrow(0, ids.size()[0] - length, length).try_into().unwrap();
        assert_eq!(prompt.ids, ids, "prompt {row}");
    }
    let pixels = Tensor::from_slice(&values).reshape([-1, config.vision_config.patch_values()]);
    assert!(pixels == *case.expected("pixel_values"));
    let images = VisionPlan::new(&grids, &config.vision_config, Device::Cpu).unwrap();
    let plan = SequencePlan::new(&prompts, &config.text_config, kind, Device::Cpu).unwrap();
    network.forward(&pixels.to_kind(kind), &images, &plan).unwrap()
}

#[test]
fn actions_are_those_of_the_run_and_only_from_the_states_before_the_final_norm() {
    let folder = sets().join("starvla");
    let case = Case::read(&folder.join("actions.safetensors"));
    let mut config = config(&folder);
    let off = distance(
        &act(&folder, &case, (&config, Kind::Float)).actions,
        case.expected("actions"),
    );
    assert!(off <= 1e-4, "{off:.1e}");
    config.thinkvla.hidden_tap = HiddenTap::PostNorm;
    let other = distance(
        &act(&folder, &case, (&config, Kind::Float)).actions,
        case.expected("actions"),
    );
    assert!(other > 1e-2, "{other:.1e}");
}

#[test]
fn bfloat16_costs_precision_that_float32_keeps() {
    let folder = sets().join("starvla");
    let case = Case::read(&folder.join("actions.safetensors"));
    let config = config(&folder);
    let off = |kind| {
        let acted = act(&folder, &case, (&config, kind)).actions;
        distance(&acted.to_kind(Kind::Float), case.expected("actions"))
    };
    let (single, half) = (off(Kind::Float), off(Kind::BFloat16));
    eprintln!("largest deviation of an action: {single:.1e} in float32, {half:.1e} in bfloat16");
    assert!(
        single < 1e-5 && half > 100.0 * single && half < 0.1,
        "{single:.1e} {half:.1e}"
    );
}
