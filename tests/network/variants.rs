//! Tests of checkpoint variants: each can be created and loaded, and computes actions.

use thinkvla::contract::{ActionSpace, Contract};
use thinkvla::model::config::{Config, HiddenTap, Proprio};
use thinkvla::model::init::variant::{CheckpointVariant, FieldChoice};
use thinkvla::model::policy::{Observation, Policy, PolicyOptions};
use thinkvla::model::thinkvla::network::Network;
use thinkvla::model::thinkvla::state::StateText;

use crate::support::{
    NetworkFixture, choices, contract_of, distance, grid, pixels, tiny, tiny_variant, tokenizer, write_variant,
};

fn load(variant: &CheckpointVariant) -> Policy {
    let directory = tempfile::tempdir().unwrap();
    write_variant(directory.path(), variant, 7).unwrap();
    Policy::load(directory.path(), PolicyOptions::default()).unwrap()
}

fn act(policy: &mut Policy, state: &[f64]) -> Result<Vec<f64>, String> {
    let grids = [grid(4, 4), grid(4, 4)];
    let pixel_values = Vec::<f32>::try_from(pixels(policy.config(), &grids, 1).flatten(0, -1)).unwrap();
    let observation = Observation {
        pixel_values: &pixel_values,
        grids: &grids,
        state,
        instruction: "lift the cube.",
    };
    let output = policy.act(&observation).map_err(|e| e.to_string())?;
    assert_eq!(output.actions.space(), policy.contract().data.action_space);
    Ok(output.actions.values().to_vec())
}

fn keys(config: &Config) -> Vec<String> {
    Network::layout(config).unwrap().into_iter().map(|p| p.key).collect()
}

#[test]
fn every_choice_makes_a_checkpoint_that_acts() {
    let one = |choice: &str| choices([choice]);
    let mut variants: Vec<CheckpointVariant> = [
        "geometry.pool=max",
        "geometry.pool=adaptive",
        "geometry.pool=attention",
        "geometry.norm=pre",
        "reasoning.fusion=gate",
        "reasoning.fusion=cross_attention",
        "hidden_tap=post_norm",
        "reasoning.anchor_tap=post_norm",
        "reasoning.teacher_anchor=assistant_start",
        "geometry=null",
        "reasoning=null",
    ]
    .map(one)
    .into();
    variants.push(CheckpointVariant {
        anchors: 3,
        ..one("reasoning.fusion=cross_attention")
    });
    variants.push(CheckpointVariant {
        baseline: true,
        ..CheckpointVariant::default()
    });
    for variant in variants {
        let mut policy = load(&variant);
        let values = act(&mut policy, &[]).unwrap();
        assert_eq!(values.len(), 4 * 7, "{variant:?}");
    }
}

#[test]
fn the_baseline_is_the_plain_network_with_starvla_s_prompt() {
    let variant = CheckpointVariant {
        baseline: true,
        ..CheckpointVariant::default()
    };
    let fixture = NetworkFixture::new(tiny_variant(&variant));
    let parts = ["model.visual.", "model.language_model.", "action_model.model."];
    let keys = keys(&fixture.config);
    assert!(
        keys.iter().all(|key| parts.iter().any(|part| key.starts_with(part))),
        "{keys:?}"
    );
    let grids = [grid(4, 4)];
    let prompt = fixture.prompt("lift the cube.", &grids);
    let ids: Vec<u32> = prompt.ids.iter().map(|id| *id as u32).collect();
    let text = tokenizer().decode(&ids, false).unwrap();
    assert_eq!(
        text.split_once("<|vision_end|>").unwrap().1,
        "Your task is lift the cube. Please predict the next 4 robot actions: <action>🔍🔍🔍🔍<action>.. To identify the key \
         objects for your task. Locate their bounding boxes in [x1,y1,x2,y2] format.<|im_end|>\n<|im_start|>assistant\n"
    );
    assert!(prompt.anchors.is_empty());
    let output = fixture.run(&pixels(&fixture.config, &grids, 1), &grids, &[prompt]);
    assert!(output.latents.geometry.is_none() && output.latents.reasoning.is_none());
}

#[test]
fn nothing_of_the_teachers_is_loaded_to_act() {
    for variant in [
        CheckpointVariant::default(),
        choices(["geometry.pool=attention", "reasoning.fusion=gate"]),
    ] {
        let parts = [
            "model.visual.",
            "model.language_model.",
            "action_model.model.",
            "geo_adapter.",
            "geo_pool.",
            "geo_proj.",
            "reason_adapter.",
            "reason_proj.",
            "reason_gate.",
        ];
        let keys = keys(&tiny_variant(&variant));
        assert!(
            keys.iter().all(|key| parts.iter().any(|part| key.starts_with(part))),
            "{keys:?}"
        );
    }
}

#[test]
fn anchors_may_be_read_elsewhere_than_the_queries() {
    let grids = [grid(4, 4)];
    let think = |set: &[&str]| {
        let mut variant = CheckpointVariant::default();
        variant.set.extend(set.iter().map(|choice| choice.parse().unwrap()));
        let fixture = NetworkFixture::new(tiny_variant(&variant));
        let prompt = fixture.prompt("lift it", &grids);
        fixture
            .run(&pixels(&fixture.config, &grids, 9), &grids, &[prompt])
            .latents
            .readout
    };
    let (pre, post) = (think(&[]), think(&["hidden_tap=post_norm"]));
    let mixed = think(&["reasoning.anchor_tap=post_norm"]);
    assert!(distance(&mixed.queries, &pre.queries) < 1e-6 && distance(&mixed.anchors, &post.anchors) < 1e-6);
    assert!(distance(&pre.anchors, &post.anchors) > 1e-3 && distance(&pre.queries, &post.queries) > 1e-3);
    assert_eq!(tiny().thinkvla.anchor_tap(), HiddenTap::PreNorm);
}

#[test]
fn joint_actions_leave_as_joint_actions() {
    let variant = CheckpointVariant {
        action_space: ActionSpace::Joint8,
        ..CheckpointVariant::default()
    };
    let mut policy = load(&variant);
    assert_eq!(policy.contract().data.action_space, ActionSpace::Joint8);
    let names: Vec<_> = policy
        .contract()
        .data
        .statistics
        .iter()
        .map(|of| of.name.clone())
        .collect();
    assert_eq!(
        names.join(" "),
        "joint1 joint2 joint3 joint4 joint5 joint6 joint7 gripper"
    );
    assert_eq!(act(&mut policy, &[]).unwrap().len(), 4 * 8);
}

#[test]
fn the_state_is_told_behind_the_instruction_and_changes_the_actions() {
    let variant = CheckpointVariant {
        proprio: Proprio::Text,
        ..CheckpointVariant::default()
    };
    let mut policy = load(&variant);
    let here = [0.3, 0.0, 0.2, 3.1, 0.0, 0.0, 1.0];
    let there = [0.4, 0.0, 0.2, 3.1, 0.0, 0.0, 1.0];
    let first = act(&mut policy, &here).unwrap();
    assert_ne!(first, act(&mut policy, &there).unwrap());
    assert_eq!(first, act(&mut policy, &here).unwrap());
    let error = act(&mut policy, &here[..3]).unwrap_err();
    assert!(
        error.contains("a state of 7 values: x, y, z, rx, ry, rz, gripper, found 3"),
        "{error}"
    );

    let fixture = NetworkFixture::new(tiny_variant(&variant));
    let state = StateText::new(&here, &policy.contract().data.state).unwrap();
    let task = thinkvla::model::thinkvla::prompt::PromptTask {
        instruction: "lift the cube.",
        state: Some(&state),
    };
    let prompt = fixture.prompter.student(task, &[grid(4, 4)]).unwrap();
    let ids: Vec<u32> = prompt.ids.iter().map(|id| *id as u32).collect();
    let text = tokenizer().decode(&ids, false).unwrap();
    let user_text =
        "Your task is lift the cube [STATE] 176 128 160 254 128 128 255 [ACTION].<|reasoning_anchor|> Please";
    assert!(text.contains(user_text), "{text}");
    let teacher = fixture.prompter.teacher(task, &[grid(4, 4)], 0).unwrap();
    assert_eq!(teacher.prompt.ids[..teacher.shared], prompt.ids[..teacher.shared]);
    let error = fixture
        .prompter
        .student("lift it", &[grid(4, 4)])
        .unwrap_err()
        .to_string();
    assert!(error.contains("the robot's own state"), "{error}");
}

#[test]
fn a_projected_state_is_asked_for_by_name_and_changes_nothing_before_it_is_trained() {
    let mut policy = load(&CheckpointVariant {
        proprio: Proprio::Projected,
        ..CheckpointVariant::default()
    });
    let names: Vec<_> = policy.contract().data.state.iter().map(|of| &of.name).collect();
    assert_eq!(
        names,
        ["x", "y", "z", "rz_down", "gripper", "x_error", "y_error", "z_error"]
    );
    let here = [0.3, 0.0, 0.2, 0.1, 1.0, 0.0, 0.0, 0.01];
    let first = act(&mut policy, &here).unwrap();
    assert_eq!(first, act(&mut policy, &[0.0; 8]).unwrap());
    let error = act(&mut policy, &here[..3]).unwrap_err();
    assert!(error.contains("a state of 8 values: x, y, z, rz_down"), "{error}");
}

#[test]
fn a_state_without_statistics_is_refused() {
    let variant = CheckpointVariant {
        proprio: Proprio::Text,
        ..CheckpointVariant::default()
    };
    let directory = tempfile::tempdir().unwrap();
    write_variant(directory.path(), &variant, 7).unwrap();
    let without: Contract = contract_of(&tiny(), &CheckpointVariant::default());
    without.save(directory.path()).unwrap();
    let error = Policy::load(directory.path(), PolicyOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("thinkvla.proprio: expected none, or statistics"),
        "{error}"
    );
}

#[test]
fn a_choice_that_does_not_exist_is_refused_by_name() {
    let refused = |choice: &str| choices([choice]).apply(tiny()).unwrap_err().to_string();
    assert!(refused("geometry.pol=max").contains("pol"));
    assert!(refused("geometry.pool=median").contains("median"));
    assert!(refused("geometrie.pool=max").contains("there is no geometrie"));
    assert!(refused("hidden_tap.deep=1").contains("whose parent has no fields"));
    assert!(
        "pool"
            .parse::<FieldChoice>()
            .unwrap_err()
            .to_string()
            .contains("expected FIELD=VALUE")
    );
}
