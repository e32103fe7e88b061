//! Test against the same recipe in PyTorch: losses, gradients, and five steps of the optimiser, in 64 bits.

use tch::Tensor;
use thinkvla::training::config::settings::MethodSettings;
use thinkvla::training::optimiser::Optimiser;

use crate::support::{Recipe, config, objective, optimiser_settings, relative};

/// Largest relative deviation of a loss or gradient.
const CLOSE: f64 = 1e-6;
/// Largest relative deviation of a tensor's change over five steps.
const MOVED: f64 = 1e-4;

#[test]
fn losses_gradients_and_five_steps_are_pytorch_s() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, config(&[]), MethodSettings::default());
    let (vla, vlm) = (recipe.vla(objective.config()), recipe.vlm(objective.config()));
    let mut optimiser = Optimiser::new(objective.parameters(), optimiser_settings(1e-3)).unwrap();
    let start: Vec<Tensor> = objective
        .parameters()
        .all()
        .iter()
        .map(|one| one.tensor.detach().copy())
        .collect();
    for step in 0..5 {
        let losses = objective.vla(&vla, &vla.counts().unwrap()).unwrap();
        let text = objective.vlm(&vlm, &vlm.counts()).unwrap();
        losses.total.backward();
        text.total.backward();
        // From the second step on, the weights contain the rounding of AdamW's first steps.
        let close = if step == 0 { CLOSE } else { 10.0 * CLOSE };
        for (name, found) in [
            ("action", losses.action.as_ref().unwrap()),
            ("geometry", losses.geometry.as_ref().unwrap()),
            ("reasoning", losses.reasoning.as_ref().unwrap()),
            ("text", &text.cross_entropy),
        ] {
            let (found, expected) = (found.double_value(&[]), recipe.value(&format!("loss.{name}.{step}")));
            let deviation = ((found - expected) / expected).abs();
            assert!(
                deviation < close,
                "{name} of step {step}: {found}, PyTorch's {expected}"
            );
        }
        if step == 0 {
            compare_gradients(&recipe, &objective);
        }
        let norm = optimiser.step(1.0).unwrap().total;
        let expected = recipe.value(&format!("norm.{step}"));
        assert!(
            ((norm - expected) / expected).abs() < close,
            "norm of step {step}: {norm}, PyTorch's {expected}"
        );
    }
    let mut worst = (0.0, "");
    for (one, start) in objective.parameters().all().iter().zip(&start) {
        let moved = one.tensor.detach() - start;
        let deviation = relative(&moved, recipe.get(&format!("moved.{}", one.key)));
        if deviation > worst.0 {
            worst = (deviation, &one.key);
        }
    }
    eprintln!("moved: worst {worst:?}");
    assert!(worst.0 < MOVED, "{worst:?}");
}

/// Compares all gradients; none of the recipe is analytically zero.
fn compare_gradients(recipe: &Recipe, objective: &thinkvla::training::objective::Objective) {
    let mut worst = (0.0, "");
    let all = objective.parameters().all();
    for one in all {
        let expected = recipe.get(&format!("gradient.{}", one.key));
        assert!(expected.norm().double_value(&[]) > 0.0, "{}", one.key);
        let gradient = one.tensor.grad();
        assert!(gradient.defined(), "{} has no gradient", one.key);
        let deviation = relative(&gradient, expected);
        if deviation > worst.0 {
            worst = (deviation, &one.key);
        }
    }
    eprintln!("gradients: worst {worst:?} of {}", all.len());
    assert!(worst.0 < CLOSE, "{worst:?}");
    let expected = recipe.tensors.keys().filter(|key| key.starts_with("gradient.")).count();
    assert_eq!(all.len(), expected);
}
