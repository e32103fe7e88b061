//! Tests of the backbone: causality, padding and sizes.

use tch::Tensor;
use thinkvla::model::config::{Config, HiddenTap};

use crate::support::{NetworkFixture, distance, grid, pixels, tiny};

/// Tolerance above the rounding of 32-bit sums and far below the size of any state.
const SAME: f64 = 2e-5;
/// Smallest effect of a real change.
const DIFFERENT: f64 = 1e-3;

#[test]
fn the_anchor_is_blind_to_the_action_text_and_the_queries_are_not() {
    let grids = [grid(4, 4)];
    let run = |action_text: &str| {
        let mut config = tiny();
        config.thinkvla.prompt = format!("Your task is {{instruction}}.{{anchor}}{action_text}{{queries}}.");
        let fixture = NetworkFixture::new(config);
        let prompt = fixture.prompt("lift the cube", &grids);
        fixture
            .run(&pixels(&fixture.config, &grids, 3), &grids, &[prompt])
            .latents
            .readout
    };
    let (one, other) = (run(" Please predict the next actions: "), run(" Move! "));
    assert!(distance(&one.anchors, &other.anchors) < SAME);
    assert!(distance(&one.queries, &other.queries) > DIFFERENT);
}

#[test]
fn a_padded_batch_gives_what_each_prompt_gives_alone() {
    let fixture = NetworkFixture::new(tiny());
    let (near, far) = ([grid(4, 4), grid(4, 4)], [grid(4, 6), grid(2, 2)]);
    let prompts = [
        fixture.prompt("lift the cube", &near),
        fixture.prompt("put the robot's long spoon into the drawer below", &far),
    ];
    assert_ne!(prompts[0].ids.len(), prompts[1].ids.len());
    let images = [pixels(&fixture.config, &near, 4), pixels(&fixture.config, &far, 5)];
    let all = [near, far].concat();
    let together = fixture.run(&Tensor::cat(&images, 0), &all, &prompts);
    for (i, (grids, prompt)) in [near, far].iter().zip(&prompts).enumerate() {
        let alone = fixture.run(&images[i], grids, std::slice::from_ref(prompt));
        let row = together.actions.narrow(0, i as i64, 1);
        assert!(distance(&alone.actions, &row) < SAME, "prompt {i}");
        let anchor = together.latents.readout.anchors.narrow(0, i as i64, 1);
        assert!(
            distance(&alone.latents.readout.anchors, &anchor) < 10.0 * SAME,
            "prompt {i}"
        );
    }
}

#[test]
fn an_image_is_seen_the_same_beside_others() {
    let fixture = NetworkFixture::new(tiny());
    let grids = [grid(4, 4), grid(4, 4), grid(2, 6), grid(4, 4)];
    let all = pixels(&fixture.config, &grids, 6);
    let together = fixture.network.encode_images(&all, &fixture.images(&grids)).unwrap();
    let together_tap = together.tap.unwrap();
    let mut start = 0;
    for one in grids {
        let rows = i64::from(one.h * one.w);
        let alone = fixture
            .network
            .encode_images(&all.narrow(0, start, rows), &fixture.images(&[one]))
            .unwrap();
        assert!(distance(&alone.tap.unwrap(), &together_tap.narrow(0, start, rows)) < SAME);
        assert!(distance(&alone.tokens, &together.tokens.narrow(0, start / 4, rows / 4)) < SAME);
        start += rows;
    }
}

#[test]
fn where_a_patch_lies_matters() {
    let fixture = NetworkFixture::new(tiny());
    let one = pixels(&fixture.config, &[grid(2, 4)], 7);
    let encode_images = |g| {
        fixture
            .network
            .encode_images(&one, &fixture.images(&[g]))
            .unwrap()
            .tap
            .unwrap()
    };
    assert!(distance(&encode_images(grid(2, 4)), &encode_images(grid(4, 2))) > DIFFERENT);
}

#[test]
fn any_possible_configuration_runs() {
    let cases: [fn(&mut Config); 10] = [
        |c| c.text_config.num_hidden_layers = 5,
        |c| c.text_config.num_key_value_heads = 1,
        |c| c.text_config.num_key_value_heads = 4,
        |c| (c.text_config.head_dim, c.text_config.rope_scaling.mrope_section) = (24, [4, 4, 4]),
        |c| {
            c.vision_config.deepstack_visual_indexes = vec![];
            c.thinkvla.geometry.as_mut().unwrap().tap_block = 2;
        },
        |c| c.vision_config.deepstack_visual_indexes = vec![0, 1, 2],
        |c| (c.vision_config.depth, c.vision_config.num_heads) = (4, 4),
        |c| (c.vision_config.patch_size, c.vision_config.spatial_merge_size) = (8, 1),
        |c| c.thinkvla.hidden_tap = HiddenTap::PostNorm,
        |c| (c.thinkvla.chunk_len, c.thinkvla.action_dim, c.thinkvla.head_blocks) = (16, 8, 0),
    ];
    for (i, change) in cases.into_iter().enumerate() {
        let mut config = tiny();
        change(&mut config);
        let fixture = NetworkFixture::new(config);
        let grids = [grid(4, 4), grid(2, 6)];
        let output = fixture.run(
            &pixels(&fixture.config, &grids, 8),
            &grids,
            &[fixture.prompt("lift it", &grids)],
        );
        let ours = &fixture.config.thinkvla;
        assert_eq!(output.actions.size(), [1, ours.chunk_len, ours.action_dim], "case {i}");
        assert_eq!(output.actions.isfinite().all().int64_value(&[]), 1, "case {i}");
    }
}

#[test]
fn the_final_norm_is_applied_only_where_asked_for() {
    let grids = [grid(4, 4)];
    let run = |tap| {
        let mut config = tiny();
        config.thinkvla.hidden_tap = tap;
        let fixture = NetworkFixture::new(config);
        fixture
            .run(
                &pixels(&fixture.config, &grids, 9),
                &grids,
                &[fixture.prompt("lift it", &grids)],
            )
            .latents
            .readout
            .anchors
    };
    assert!(distance(&run(HiddenTap::PreNorm), &run(HiddenTap::PostNorm)) > DIFFERENT);
}
