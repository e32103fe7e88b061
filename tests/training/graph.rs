//! Tests of ablations: the parameters that a step trains in each, and that a few steps reduce the loss.

use serde_json::{Value, json};
use tch::Tensor;
use tch::kind::FLOAT_CPU;
use thinkvla::training::batch::VlaBatch;
use thinkvla::training::config::settings::{Distill, MethodSettings, ReasoningLoss};
use thinkvla::training::objective::Objective;
use thinkvla::training::optimiser::Optimiser;

use crate::support::{Recipe, anchor_at_task_end, config, objective, optimiser_settings};

/// Number of state values where the state is projected.
const STATE_DIM: i64 = 8;

/// An ablation of 3DThinkVLA's Table 4 (or a fusion of Table 6): changes to the checkpoint, and expectations.
struct Ablation {
    name: &'static str,
    changes: Vec<(&'static str, Value)>,
    cotrained: bool,
    distill: Distill,
    /// Prefixes of its parameters besides backbone and action head.
    added: &'static [&'static str],
    /// Whether its prompts have no anchor.
    task_end: bool,
}

fn ablation(name: &'static str, changes: Vec<(&'static str, Value)>, added: &'static [&'static str]) -> Ablation {
    Ablation {
        name,
        changes,
        cotrained: name != "r1",
        distill: if added.contains(&"reason_adapter.") {
            Distill::Anchor
        } else {
            Distill::None
        },
        added,
        task_end: false,
    }
}

fn without_reasoning() -> [(&'static str, Value); 2] {
    [("reasoning", Value::Null), ("prompt", json!("{instruction}{queries}"))]
}

fn ablations() -> Vec<Ablation> {
    let plain = || [without_reasoning().to_vec(), vec![("geometry", Value::Null)]].concat();
    let task_end = vec![
        ("reasoning.read_at", json!("task_end")),
        ("reasoning.anchors", json!([])),
    ];
    let fusion = |kind: &str| vec![("reasoning.fusion", json!(kind))];
    vec![
        ablation("r1", plain(), &[]),
        ablation("r2", plain(), &[]),
        ablation("r3", plain(), &[]),
        ablation("r4", without_reasoning().to_vec(), &["geo_adapter.", "geo_proj."]),
        Ablation {
            task_end: true,
            ..ablation(
                "r5",
                task_end,
                &["geo_adapter.", "geo_proj.", "reason_adapter.", "reason_proj."],
            )
        },
        ablation(
            "r6",
            vec![("reasoning.adapter", json!(false))],
            &["geo_adapter.", "geo_proj.", "reason_proj."],
        ),
        ablation(
            "r7",
            vec![],
            &["geo_adapter.", "geo_proj.", "reason_adapter.", "reason_proj."],
        ),
        ablation(
            "fusion_gate",
            fusion("gate"),
            &[
                "geo_adapter.",
                "geo_proj.",
                "reason_adapter.",
                "reason_proj.",
                "reason_gate.",
            ],
        ),
        ablation(
            "fusion_cross_attention",
            fusion("cross_attention"),
            &["geo_adapter.", "geo_proj.", "reason_adapter.", "reason_attn."],
        ),
        ablation(
            "projected_state",
            [
                plain(),
                vec![("proprio", json!("projected")), ("state_dim", json!(STATE_DIM))],
            ]
            .concat(),
            &["proprio_projector."],
        ),
    ]
}

fn batch(recipe: &Recipe, objective: &Objective, of: &Ablation) -> VlaBatch {
    let mut batch = recipe.vla(objective.config());
    let states = (of.added == ["proprio_projector."]).then(|| Tensor::ones([batch.len() as i64, STATE_DIM], FLOAT_CPU));
    batch.state = states;
    if of.task_end {
        anchor_at_task_end(&mut batch);
    }
    batch
}

#[test]
fn each_ablation_trains_what_it_has_and_learns() {
    let recipe = Recipe::read();
    for of in ablations() {
        let settings = MethodSettings {
            distill: of.distill,
            ..MethodSettings::default()
        };
        let objective = objective(&recipe, config(&of.changes), settings);
        let (vla, vlm) = (batch(&recipe, &objective, &of), recipe.vlm(objective.config()));
        let mut optimiser = Optimiser::new(objective.parameters(), optimiser_settings(1e-3)).unwrap();
        let mut totals = Vec::new();
        for step in 0..4 {
            let losses = objective.vla(&vla, &vla.counts().unwrap()).unwrap();
            assert_eq!(
                losses.geometry.is_some(),
                of.added.contains(&"geo_adapter."),
                "{}",
                of.name
            );
            assert_eq!(losses.reasoning.is_some(), of.distill != Distill::None, "{}", of.name);
            losses.total.backward();
            let mut total = losses.total.double_value(&[]);
            if of.cotrained {
                let text = objective.vlm(&vlm, &vlm.counts()).unwrap().total;
                text.backward();
                total += text.double_value(&[]);
            }
            totals.push(total);
            if step == 0 {
                check_graph(&objective, &of);
            }
            optimiser.step(1.0).unwrap();
        }
        assert!(totals[3] < 0.98 * totals[0], "{}: {totals:?}", of.name);
    }
}

fn check_graph(objective: &Objective, of: &Ablation) {
    for one in objective.parameters().all() {
        let gradient = one.tensor.grad();
        let learns = gradient.defined() && gradient.abs().max().double_value(&[]) > 0.0;
        let backbone = one.key.starts_with("model.");
        let added = of.added.iter().any(|prefix| one.key.starts_with(prefix));
        let there = backbone || added || one.key.starts_with("action_model.");
        assert!(there, "{} has {}", of.name, one.key);
        // The final norm is read by the text head alone.
        let expected = of.cotrained || one.key != "model.language_model.norm.weight";
        assert_eq!(learns, expected, "{}: {}", of.name, one.key);
    }
    for prefix in of.added {
        let present = objective
            .parameters()
            .all()
            .iter()
            .any(|one| one.key.starts_with(prefix));
        assert!(present, "{} lacks {prefix}", of.name);
    }
}

#[test]
fn an_anchor_without_adapter_or_teacher_is_trained_by_the_actions() {
    let recipe = Recipe::read();
    let changes = [("reasoning.adapter", json!(false))];
    let objective = objective(&recipe, config(&changes), MethodSettings::default());
    let mut batch = recipe.vla(objective.config());
    batch.teacher.clear();
    let losses = objective.vla(&batch, &batch.counts().unwrap()).unwrap();
    assert!(losses.reasoning.is_none());
    losses.total.backward();
    let row = objective
        .parameters()
        .get("model.language_model.embed_tokens.weight")
        .unwrap()
        .grad()
        .get(46);
    assert!(row.abs().max().double_value(&[]) > 0.0);
}

#[test]
fn every_way_to_compare_latents_reaches_the_adapter() {
    let recipe = Recipe::read();
    for reasoning_loss in [
        ReasoningLoss::Cosine,
        ReasoningLoss::Mse,
        ReasoningLoss::SmoothL1,
        ReasoningLoss::LayerNormMse,
    ] {
        let settings = MethodSettings {
            reasoning_loss,
            ..MethodSettings::default()
        };
        let objective = objective(&recipe, config(&[]), settings);
        let batch = recipe.vla(objective.config());
        let loss = objective
            .vla(&batch, &batch.counts().unwrap())
            .unwrap()
            .reasoning
            .unwrap();
        loss.backward();
        let gradient = objective.parameters().get("reason_adapter.fc1.weight").unwrap().grad();
        assert!(gradient.norm().double_value(&[]) > 1e-6, "{reasoning_loss:?}");
    }
}
