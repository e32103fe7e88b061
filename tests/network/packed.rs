//! Tests of packed weights and fused operations on the CPU: their results equal those of the plain operations.

use tch::Tensor;
use thinkvla::model::config::Config;

use crate::support::{NetworkFixture, distance, grid, pixels, tiny};

/// Largest difference of all but 1e-4 of the states in 32 bits.
const SAME: f64 = 1e-4;

/// States and latents of two prompts of different lengths, with three images of two sizes.
fn states(fixture: &NetworkFixture) -> Vec<Tensor> {
    let grids = [grid(4, 4), grid(4, 4), grid(4, 6)];
    let prompts = [
        fixture.prompt("lift the cube", &grids[..2]),
        fixture.prompt("put the robot's long spoon into the drawer below", &grids[2..]),
    ];
    let pixels = pixels(&fixture.config, &grids, 11);
    let output = fixture.run(&pixels, &grids, &prompts);
    let one = fixture.prompt("open the drawer", &grids[2..]);
    let alone = fixture.run(&pixels.narrow(0, 32, 24), &grids[2..], &[one]);
    vec![
        output.latents.readout.anchors,
        output.latents.readout.queries,
        output.latents.geometry.unwrap(),
        output.latents.reasoning.unwrap(),
        output.actions,
        alone.actions,
    ]
}

fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.flatten(0, -1), b.flatten(0, -1));
    a.dot(&b).double_value(&[]) / (a.norm().double_value(&[]) * b.norm().double_value(&[]))
}

/// Configurations whose sizes fill no block of the kernels, and whose sizes fill some.
fn configurations() -> Vec<Config> {
    let mut wide = tiny();
    let text = &mut wide.text_config;
    (text.hidden_size, text.intermediate_size) = (64, 136);
    (text.num_attention_heads, text.num_key_value_heads) = (6, 2);
    (text.head_dim, text.rope_scaling.mrope_section) = (32, [6, 5, 5]);
    wide.vision_config.out_hidden_size = 64;
    vec![tiny(), wide]
}

#[test]
fn packed_weights_give_the_plain_states_in_32_bits() {
    for config in configurations() {
        let plain = NetworkFixture::new(config);
        for (plain, packed) in states(&plain).iter().zip(states(&plain.packed())) {
            assert!(distance(plain, &packed) < SAME, "{}", distance(plain, &packed));
        }
    }
}

#[test]
fn packed_weights_keep_the_direction_of_the_states_in_half_precision() {
    for config in configurations() {
        let plain = NetworkFixture::new(config);
        for (plain, packed) in states(&plain).iter().zip(states(&plain.packed_in_half_precision())) {
            assert!(cosine(plain, &packed) > 0.999, "{}", cosine(plain, &packed));
        }
    }
}
