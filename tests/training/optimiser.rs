//! Tests of the optimiser: master weights, clipping, non-finite gradients, and saving and restoring its state.

use std::collections::HashMap;

use tch::{Kind, Tensor};
use thinkvla::model::error::ModelError;
use thinkvla::model::layers::parameters::{Parameter, ParameterSource, Role};
use thinkvla::model::trainable::Selection;
use thinkvla::training::config::settings::{MethodSettings, OptimiserSettings};
use thinkvla::training::objective::Objective;
use thinkvla::training::optimiser::{GradientNorms, Optimiser};

use crate::support::{Recipe, built, config, optimiser_settings};

/// The recipe's network in another type.
struct In<'a>(&'a Recipe, Kind);

impl ParameterSource for In<'_> {
    fn tensor(&self, parameter: Parameter, role: Role) -> Result<Tensor, ModelError> {
        let kind = match role {
            Role::Backbone => self.1,
            Role::Head => Kind::Float,
        };
        Ok(self.0.tensor(parameter, role)?.to_kind(kind))
    }
}

fn objective(recipe: &Recipe, kind: Kind) -> Objective {
    built(
        &In(recipe, kind),
        config(&[]),
        MethodSettings::default(),
        &Selection::Everything,
    )
}

fn step(objective: &Objective, recipe: &Recipe, optimiser: &mut Optimiser) -> (f64, GradientNorms) {
    let (vla, vlm) = (recipe.vla(objective.config()), recipe.vlm(objective.config()));
    let losses = objective.vla(&vla, &vla.counts().unwrap()).unwrap();
    losses.total.backward();
    objective.vlm(&vlm, &vlm.counts()).unwrap().total.backward();
    (losses.total.double_value(&[]), optimiser.step(1.0).unwrap())
}

#[test]
fn steps_too_small_for_bfloat16_add_up_in_its_masters() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, Kind::BFloat16);
    // A hundredth of the value of bfloat16's last bit at 1.
    let mut optimiser = Optimiser::new(objective.parameters(), optimiser_settings(4e-5)).unwrap();
    let norm = |objective: &Objective| {
        objective
            .parameters()
            .get("model.language_model.layers.0.input_layernorm.weight")
            .unwrap()
            .detach()
            .copy()
    };
    let start = norm(&objective);
    step(&objective, &recipe, &mut optimiser);
    let after_one = (norm(&objective) - &start).abs().max().double_value(&[]);
    for _ in 0..120 {
        step(&objective, &recipe, &mut optimiser);
    }
    let moved = (norm(&objective) - &start).abs().max().double_value(&[]);
    assert!(after_one < 1e-9 && moved > 1e-3, "{after_one} {moved}");
    let state: HashMap<_, _> = optimiser.state().into_iter().collect();
    let master = &state["model.language_model.layers.0.input_layernorm.weight.master"];
    assert_eq!(master.kind(), Kind::Float);
    assert_eq!(master.to_kind(Kind::BFloat16), norm(&objective));
    assert!(!state.contains_key("geo_adapter.fc1.weight.master"));
}

#[test]
fn a_state_put_away_and_taken_up_goes_on_to_the_bit() {
    let recipe = Recipe::read();
    for kind in [Kind::Float, Kind::BFloat16] {
        let run = |objective: &Objective, optimiser: &mut Optimiser, steps: usize| -> Vec<f64> {
            (0..steps).map(|_| step(objective, &recipe, optimiser).0).collect()
        };
        let whole = objective(&recipe, kind);
        let mut optimiser = Optimiser::new(whole.parameters(), optimiser_settings(1e-3)).unwrap();
        run(&whole, &mut optimiser, 3);
        let weights: Vec<_> = whole
            .parameters()
            .all()
            .iter()
            .map(|one| one.tensor.detach().copy())
            .collect();
        let state: HashMap<_, _> = optimiser.state().into_iter().map(|(key, x)| (key, x.copy())).collect();
        let losses = run(&whole, &mut optimiser, 3);
        let again = objective(&recipe, kind);
        for (one, weight) in again.parameters().all().iter().zip(&weights) {
            one.tensor.detach().copy_(weight);
        }
        let mut resumed = Optimiser::new(again.parameters(), optimiser_settings(1e-3)).unwrap();
        resumed.restore(&state).unwrap();
        assert_eq!(run(&again, &mut resumed, 3), losses);
        for (a, b) in whole.parameters().all().iter().zip(again.parameters().all()) {
            assert_eq!(a.tensor.detach(), b.tensor.detach(), "{}", a.key);
        }
        let mut broken = state;
        broken.remove("geo_adapter.fc1.weight.exp_avg");
        let error = resumed.restore(&broken).unwrap_err().to_string();
        assert!(error.contains("geo_adapter.fc1.weight.exp_avg"), "{error}");
    }
}

#[test]
fn gradients_are_clipped_by_the_norm_of_all_groups_together() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, Kind::Float);
    let first = |max_norm: f64| {
        let settings = OptimiserSettings {
            max_norm,
            ..optimiser_settings(0.0)
        };
        let mut optimiser = Optimiser::new(objective.parameters(), settings).unwrap();
        let norms = step(&objective, &recipe, &mut optimiser).1;
        let state: HashMap<_, _> = optimiser.state().into_iter().collect();
        (
            norms,
            state["action_model.model.fc2.weight.exp_avg"].norm().double_value(&[]),
        )
    };
    let ((norms, free), (_, clipped)) = (first(1e9), first(0.5));
    let squares: f64 = norms.groups.iter().map(|norm| norm * norm).sum();
    assert!((squares.sqrt() - norms.total).abs() < 1e-9 && norms.groups.iter().all(|norm| *norm > 0.0));
    assert!((clipped / free - 0.5 / norms.total).abs() < 1e-5);
}

#[test]
fn a_gradient_that_is_no_number_changes_nothing_and_is_named() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, Kind::Float);
    let mut optimiser = Optimiser::new(objective.parameters(), optimiser_settings(1e-3)).unwrap();
    step(&objective, &recipe, &mut optimiser);
    let before: Vec<_> = objective
        .parameters()
        .all()
        .iter()
        .map(|one| one.tensor.detach().copy())
        .collect();
    let head = objective.parameters().get("action_model.model.fc1.weight").unwrap();
    (head.sum(Kind::Float) * f64::INFINITY).backward();
    let error = optimiser.step(1.0).unwrap_err().to_string();
    assert!(error.contains("gradients of action_model"), "{error}");
    for (one, before) in objective.parameters().all().iter().zip(&before) {
        assert_eq!(one.tensor.detach(), *before, "{}", one.key);
    }
    // The gradients have been dropped, so the next step is valid.
    step(&objective, &recipe, &mut optimiser);
}
