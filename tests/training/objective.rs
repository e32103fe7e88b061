//! Tests of losses and gradients, and that optimisations change only the speed.

use serde_json::json;
use tch::{Kind, Tensor};
use thinkvla::model::error::ModelError;
use thinkvla::model::layers::parameters::{Parameter, ParameterSource, Role};
use thinkvla::model::qwen3_vl::inputs::SequencePlan;
use thinkvla::model::qwen3_vl::vision_plan::VisionPlan;
use thinkvla::model::trainable::Selection;
use thinkvla::training::batch::LossCounts;
use thinkvla::training::config::settings::{Distill, MethodSettings};
use thinkvla::training::objective::Objective;

use crate::support::{Recipe, anchor_at_task_end, built, config, objective, relative, selected};

fn gradients(objective: &Objective) -> Vec<(String, Option<Tensor>)> {
    let found = objective.parameters().all().iter().map(|one| {
        let gradient = one.tensor.grad();
        (one.key.clone(), gradient.defined().then(|| gradient.copy()))
    });
    let found = found.collect();
    objective.parameters().clear_gradients().unwrap();
    found
}

#[test]
fn the_teacher_behind_the_shared_beginning_is_the_teacher_that_reads_all() {
    let recipe = Recipe::read();
    for (distill, place) in [
        (Distill::Anchor, json!("anchor")),
        (Distill::Privileged, json!("anchor")),
        (Distill::Anchor, json!("task_end")),
    ] {
        let mut changes = vec![("reasoning.read_at", place.clone())];
        if place == "task_end" {
            changes.push(("reasoning.anchors", json!([])));
        }
        let run = |plain_teacher: bool| {
            let settings = MethodSettings {
                plain_teacher,
                distill,
                ..MethodSettings::default()
            };
            let objective = objective(&recipe, config(&changes), settings);
            let mut batch = recipe.vla(objective.config());
            if place == "task_end" {
                anchor_at_task_end(&mut batch);
            }
            if distill == Distill::Privileged {
                for (teacher, student) in batch.teacher.iter_mut().zip(&batch.student) {
                    let own = teacher.prompt.ids.len();
                    let rest = student.anchors[0] as usize + 1;
                    teacher.prompt.ids.extend(&student.ids[rest..]);
                    teacher.prompt.queries = student.queries.iter().map(|at| at - rest as i64 + own as i64).collect();
                    let last = teacher.prompt.positions.each_ref().map(|axis| axis[own - 1]);
                    for (axis, last) in teacher.prompt.positions.iter_mut().zip(last) {
                        axis.extend((0..(student.ids.len() - rest) as i64).map(|i| last + 1 + i));
                    }
                }
            }
            let losses = objective.vla(&batch, &batch.counts().unwrap()).unwrap();
            losses.total.backward();
            (losses.reasoning.unwrap().double_value(&[]), gradients(&objective))
        };
        let (plain, suffix) = (run(true), run(false));
        assert!(plain.0 > 1e-3, "{distill:?}: a teacher worth following");
        assert!(
            (plain.0 - suffix.0).abs() < 1e-9 * plain.0,
            "{distill:?}: {} {}",
            plain.0,
            suffix.0
        );
        for ((key, a), (_, b)) in plain.1.iter().zip(&suffix.1) {
            match (a, b) {
                (Some(a), Some(b)) => assert!(relative(b, a) < 1e-8, "{distill:?} {key}"),
                (a, b) => assert_eq!(a.is_some(), b.is_some(), "{distill:?} {key}"),
            }
        }
    }
}

#[test]
fn nothing_flows_back_through_the_teacher() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, config(&[]), MethodSettings::default());
    let mut batch = recipe.vla(objective.config());
    // Token 12 is only in the teacher's text.
    let row = |objective: &Objective| {
        let embedding = objective
            .parameters()
            .get("model.language_model.embed_tokens.weight")
            .unwrap();
        embedding.grad().get(12).abs().max().double_value(&[])
    };
    objective
        .vla(&batch, &batch.counts().unwrap())
        .unwrap()
        .total
        .backward();
    assert_eq!(row(&objective), 0.0);
    // The control: in the student's text, too, the token gets a gradient.
    batch.student[0].ids[3 + 12] = 12;
    batch.teacher[0].prompt.ids[3 + 12] = 12;
    objective.parameters().clear_gradients().unwrap();
    objective
        .vla(&batch, &batch.counts().unwrap())
        .unwrap()
        .total
        .backward();
    assert!(row(&objective) > 0.0);
}

#[test]
fn the_alignment_trains_the_tower_up_to_the_tap_and_nothing_else() {
    let recipe = Recipe::read();
    for detached in [false, true] {
        let settings = MethodSettings {
            detach_geometry_tap: detached,
            ..MethodSettings::default()
        };
        let objective = objective(&recipe, config(&[]), settings);
        let batch = recipe.vla(objective.config());
        let losses = objective.vla(&batch, &batch.counts().unwrap()).unwrap();
        losses.geometry.unwrap().backward();
        for (key, gradient) in gradients(&objective) {
            let learns = gradient.is_some_and(|gradient| gradient.abs().max().double_value(&[]) > 0.0);
            let before_tap = ["patch_embed", "pos_embed", "blocks.0.", "blocks.1."]
                .iter()
                .any(|part| key.starts_with(&format!("model.visual.{part}")));
            let expected = key.starts_with("geo_adapter.") || (before_tap && !detached);
            assert_eq!(learns, expected, "{key}, detached: {detached}");
        }
    }
}

#[test]
fn layers_that_are_run_again_give_the_same_losses_and_gradients() {
    let recipe = Recipe::read();
    let low_rank = Selection::Lora {
        rank: 2,
        alpha: 4.0,
        modules: vec!["q_proj".into()],
    };
    let also = vec!["model.language_model.layers.1".into()];
    for selection in [Selection::Everything, low_rank, Selection::Added { also }] {
        let run = |recompute: bool| {
            let settings = MethodSettings {
                recompute,
                ..MethodSettings::default()
            };
            let objective = selected(&recipe, config(&[]), settings, &selection);
            let (vla, vlm) = (recipe.vla(objective.config()), recipe.vlm(objective.config()));
            let losses = objective.vla(&vla, &vla.counts().unwrap()).unwrap();
            objective.differentiate(&losses).unwrap();
            let text = objective.vlm(&vlm, &vlm.counts()).unwrap();
            objective.differentiate_text(&text).unwrap();
            let totals = [losses.total, text.total].map(|total| total.double_value(&[]));
            (totals, gradients(&objective))
        };
        let (plain, again) = (run(false), run(true));
        assert_eq!(plain.0, again.0);
        let mut compared = 0;
        for ((key, plain), (_, again)) in plain.1.iter().zip(&again.1) {
            match (plain, again) {
                (Some(plain), Some(again)) => {
                    let apart = (plain - again).abs().max().double_value(&[]);
                    let scale = plain.abs().max().double_value(&[]);
                    assert!(apart <= 1e-12 * scale, "{key}: {apart:e} of {scale:e}");
                    compared += 1;
                }
                (plain, again) => assert_eq!(plain.is_some(), again.is_some(), "{key}"),
            }
        }
        assert!(compared > 10, "{compared}");
    }
}

#[test]
fn latents_along_the_target_are_no_loss() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, config(&[]), MethodSettings::default());
    let mut batch = recipe.vla(objective.config());
    let images = VisionPlan::new(
        &batch.pictures.grids,
        &objective.config().vision_config,
        tch::Device::Cpu,
    )
    .unwrap();
    let text = &objective.config().text_config;
    let plan = SequencePlan::new(&batch.student, text, Kind::Double, tch::Device::Cpu).unwrap();
    let output = objective
        .network()
        .forward(&batch.pictures.pixels, &images, &plan)
        .unwrap();
    let latents = output.latents.geometry.unwrap().index_select(0, plan.raster());
    batch.geometry_target = Some(latents.detach() * 7.5);
    let losses = objective.vla(&batch, &batch.counts().unwrap()).unwrap();
    assert!(losses.geometry.unwrap().double_value(&[]).abs() < 1e-12);
}

/// Initial weights for the projectors, those of the recipe for everything else.
struct NewProjectors(Recipe);

impl ParameterSource for NewProjectors {
    fn tensor(&self, parameter: Parameter, role: Role) -> Result<Tensor, ModelError> {
        match parameter.key.contains("_proj.fc") {
            true => Ok(Tensor::from_slice(&parameter.draw(1))
                .reshape(&parameter.shape)
                .to_kind(Kind::Double)),
            false => self.0.tensor(parameter, role),
        }
    }
}

#[test]
fn before_the_first_step_the_conditions_change_nothing() {
    let source = NewProjectors(Recipe::read());
    let loss = |changes: &[(&str, serde_json::Value)]| {
        let objective = built(
            &source,
            config(changes),
            MethodSettings::default(),
            &Selection::Everything,
        );
        let mut batch = source.0.vla(objective.config());
        batch.condition_mask = Default::default();
        objective
            .vla(&batch, &batch.counts().unwrap())
            .unwrap()
            .action
            .unwrap()
            .double_value(&[])
    };
    let whole = loss(&[]);
    assert_eq!(whole, loss(&[("geometry", json!(null))]));
}

#[test]
fn a_sample_that_is_shown_nothing_acts_as_without_conditions() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, config(&[]), MethodSettings::default());
    let mut batch = recipe.vla(objective.config());
    let mut loss = |geometry: [f32; 2], reasoning: [f32; 2]| {
        batch.condition_mask.geometry = Some(Tensor::from_slice(&geometry));
        batch.condition_mask.reasoning = Some(Tensor::from_slice(&reasoning));
        let losses = objective.vla(&batch, &batch.counts().unwrap()).unwrap();
        let values = [
            losses.action.unwrap(),
            losses.geometry.unwrap(),
            losses.reasoning.unwrap(),
        ];
        values.map(|loss| loss.double_value(&[]))
    };
    let [all, first, none] = [
        loss([1.0, 1.0], [1.0, 1.0]),
        loss([1.0, 0.0], [1.0, 0.0]),
        loss([0.0; 2], [0.0; 2]),
    ];
    assert!(all[0] != first[0] && first[0] != none[0]);
    assert_eq!(
        (all[1], all[2]),
        (none[1], none[2]),
        "the latents are learned all the same"
    );
}

#[test]
fn two_halves_over_the_whole_s_counts_are_one_batch() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, config(&[]), MethodSettings::default());
    let whole = recipe.vla(objective.config());
    let totals = whole.counts().unwrap();
    objective.vla(&whole, &totals).unwrap().total.backward();
    let together = gradients(&objective);
    let mut counted = LossCounts::default();
    for half in 0..2 {
        let mut batch = recipe.vla(objective.config());
        let part = |x: &Tensor| x.narrow(0, half as i64, 1);
        let per_sample = batch.pictures.pixels.size()[0] / 2;
        batch.pictures.pixels = batch.pictures.pixels.narrow(0, half as i64 * per_sample, per_sample);
        batch.pictures.grids = batch.pictures.grids[2 * half..2 * half + 2].to_vec();
        batch.student = vec![batch.student.swap_remove(half)];
        batch.teacher = vec![batch.teacher.swap_remove(half)];
        (batch.actions, batch.valid) = (part(&batch.actions), part(&batch.valid));
        batch.geometry_target = batch.geometry_target.map(|x| x.narrow(0, 2 * half as i64, 2));
        batch.condition_mask.geometry = batch.condition_mask.geometry.as_ref().map(part);
        batch.condition_mask.reasoning = batch.condition_mask.reasoning.as_ref().map(part);
        counted = counted + batch.counts().unwrap();
        objective.vla(&batch, &totals).unwrap().total.backward();
    }
    assert_eq!(counted, totals);
    for ((key, a), (_, b)) in together.iter().zip(gradients(&objective)) {
        match (a, b) {
            (Some(a), Some(b)) => assert!(relative(&b, a) < 1e-8, "{key}"),
            (a, b) => assert_eq!(a.is_some(), b.is_some(), "{key}"),
        }
    }
}

#[test]
fn batches_that_do_not_fit_are_named() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, config(&[]), MethodSettings::default());
    let refused = |change: &dyn Fn(&mut thinkvla::training::batch::VlaBatch)| {
        let mut batch = recipe.vla(objective.config());
        change(&mut batch);
        objective
            .vla(
                &batch,
                &LossCounts {
                    actions: 1.0,
                    patches: 1.0,
                    distilled: 1.0,
                    tokens: 1.0,
                },
            )
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&|b| b.teacher.clear()).contains("teacher: expected a prompt for each of 2 samples, found 0"));
    assert!(refused(&|b| b.actions = b.actions.narrow(2, 0, 6)).contains("actions: expected [2, 3, 7]"));
    assert!(
        refused(&|b| b.geometry_target = Some(Tensor::zeros([4, 3], (Kind::Float, tch::Device::Cpu))))
            .contains("geometry target: expected 64 patches of 12 channels")
    );
    let nan = refused(&|b| b.actions = &b.actions * f64::NAN);
    assert!(nan.contains("action loss") && nan.contains("NaN"), "{nan}");
    let mut vlm = recipe.vlm(objective.config());
    for one in &mut vlm.conversations {
        one.labels.fill(-100);
    }
    assert!(
        objective
            .vlm(&vlm, &vlm.counts())
            .unwrap_err()
            .to_string()
            .contains("at least one token")
    );
}

#[test]
fn the_two_streams_are_compared_with_ranks_and_chance() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, config(&[]), MethodSettings::default());
    let (vla, vlm) = (recipe.vla(objective.config()), recipe.vlm(objective.config()));
    let found = objective.similarity(&vla, &vlm).unwrap();
    assert!((0.0..=1.0 + 1e-9).contains(&found.similarity), "{found:?}");
    assert!(found.ranks.iter().all(|rank| (1..=16).contains(rank)), "{found:?}");
    assert_eq!(found.chance, *found.ranks.iter().max().unwrap() as f64 / 16.0);
    assert!(gradients(&objective).iter().all(|(_, gradient)| gradient.is_none()));
}
