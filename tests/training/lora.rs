//! Tests of parameter selection, and of merging LoRA weights.

use std::collections::HashMap;
use tch::Tensor;
use thinkvla::model::error::ModelError;
use thinkvla::model::layers::parameters::{Parameter, ParameterSource, Role};
use thinkvla::model::thinkvla::network::Network;
use thinkvla::model::trainable::{Selection, Trainable};
use thinkvla::training::config::settings::{MethodSettings, OptimiserSettings};
use thinkvla::training::optimiser::Optimiser;

use crate::support::{Recipe, built, config, objective, selected};

fn lora(modules: &[&str]) -> Selection {
    Selection::Lora {
        rank: 2,
        alpha: 4.0,
        modules: modules.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Takes a step of the action loss; returns the loss before it.
fn step(objective: &thinkvla::training::objective::Objective, recipe: &Recipe, optimiser: &mut Optimiser) -> f64 {
    let batch = recipe.vla(objective.config());
    let losses = objective.vla(&batch, &batch.counts().unwrap()).unwrap();
    losses.total.backward();
    optimiser.step(100.0).unwrap();
    losses.total.double_value(&[])
}

/// Merged tensors.
struct Merged(HashMap<String, Tensor>);

impl ParameterSource for Merged {
    fn tensor(&self, parameter: Parameter, _: Role) -> Result<Tensor, ModelError> {
        Ok(self.0[&parameter.key].copy())
    }
}

#[test]
fn only_what_is_selected_changes() {
    let recipe = Recipe::read();
    let added = |also: &[&str]| Selection::Added {
        also: also.iter().map(|path| (*path).to_owned()).collect(),
    };
    for (selection, backbone) in [
        (added(&[]), &[][..]),
        (
            added(&["model.language_model.layers.2"]),
            &["model.language_model.layers.2."][..],
        ),
        (
            lora(&["q_proj", "mlp.up_proj"]),
            &["up_proj.weight.lora", "q_proj.weight.lora"][..],
        ),
    ] {
        let objective = selected(&recipe, config(&[]), MethodSettings::default(), &selection);
        let mut optimiser = Optimiser::new(objective.parameters(), OptimiserSettings::default()).unwrap();
        let before: Vec<_> = objective
            .parameters()
            .all()
            .iter()
            .map(|one| one.tensor.detach().copy())
            .collect();
        // In the first step of a LoRA only the half that is zero has a gradient.
        for _ in 0..2 {
            step(&objective, &recipe, &mut optimiser);
        }
        for (one, before) in objective.parameters().all().iter().zip(before) {
            let chosen = !one.key.starts_with("model.") || backbone.iter().any(|part| one.key.contains(part));
            let changed = one.tensor.detach() != before;
            assert_eq!(changed, chosen, "{selection:?}: {}", one.key);
        }
    }
}

#[test]
fn a_new_difference_changes_nothing_and_a_merged_one_acts_as_it_did() {
    let recipe = Recipe::read();
    let batch_loss = |objective: &thinkvla::training::objective::Objective| {
        let batch = recipe.vla(objective.config());
        objective
            .vla(&batch, &batch.counts().unwrap())
            .unwrap()
            .total
            .double_value(&[])
    };
    let whole = objective(&recipe, config(&[]), MethodSettings::default());
    let selection = lora(&["q_proj", "v_proj", "gate_proj", "attn.qkv", "linear_fc1"]);
    let objective = selected(&recipe, config(&[]), MethodSettings::default(), &selection);
    assert_eq!(batch_loss(&whole), batch_loss(&objective));
    let mut optimiser = Optimiser::new(objective.parameters(), OptimiserSettings::default()).unwrap();
    for _ in 0..3 {
        step(&objective, &recipe, &mut optimiser);
    }
    let learned = batch_loss(&objective);
    assert!(learned < batch_loss(&whole));
    let merged: HashMap<_, _> = objective.parameters().merged().unwrap().into_iter().collect();
    assert!(merged.keys().all(|key| !key.contains("lora")));
    let merged = built(
        &Merged(merged),
        config(&[]),
        MethodSettings::default(),
        &Selection::Everything,
    );
    assert!((batch_loss(&merged) - learned).abs() < 1e-9);
}

#[test]
fn modules_that_are_not_there_are_named() {
    let recipe = Recipe::read();
    for selection in [
        lora(&["q_proj", "qproj"]),
        Selection::Added {
            also: vec!["model.language_model.layers.9".into()],
        },
    ] {
        let trainable = Trainable::new(&recipe, &selection, 0);
        Network::new(&config(&[]), &trainable).unwrap();
        let error = trainable.finish().unwrap_err().to_string();
        assert!(
            error.contains("found qproj") || error.contains("found model.language_model.layers.9"),
            "{error}"
        );
    }
}
