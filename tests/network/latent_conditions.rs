//! Tests of the conditions' effect on the actions, which is none before training.

use tch::{Kind, Tensor};
use thinkvla::camera::patches::{Grid, merge_block_from_raster};
use thinkvla::model::layers::parameters::Scope;
use thinkvla::model::thinkvla::action_head::{ActionHead, ActionHeadSize};
use thinkvla::model::thinkvla::adapters::Projector;

use crate::support::{NetworkFixture, RandomWeights, choices, distance, grid, pixels, tiny_variant};

const POOLS: [&str; 4] = ["mean", "max", "adaptive", "attention"];
const FUSIONS: [&str; 3] = ["add", "gate", "cross_attention"];

fn plain_head(fixture: &NetworkFixture, seed: u64) -> ActionHead {
    let ours = &fixture.config.thinkvla;
    let size = ActionHeadSize {
        inputs: fixture.config.text_config.hidden_size,
        hidden: ours.head_hidden,
        blocks: ours.head_blocks,
        outputs: ours.action_dim,
    };
    let weights = RandomWeights { seed, initial: &[] };
    ActionHead::new(Scope::new(&weights).at("action_model.model"), size).unwrap()
}

fn fixture(pool: &str, fusion: &str, norm: &str, initial: &'static [&'static str]) -> NetworkFixture {
    let variant = choices([
        &format!("geometry.pool={pool}"),
        &format!("reasoning.fusion={fusion}"),
        &format!("geometry.norm={norm}"),
    ]);
    NetworkFixture::with(tiny_variant(&variant), RandomWeights { seed: 2, initial })
}

/// Distance of the actions from those of the plain head for the same states.
fn from_plain(fixture: &NetworkFixture) -> f64 {
    let grids = [grid(4, 4), grid(2, 4)];
    let prompt = fixture.prompt("lift it", &grids);
    let output = fixture.run(&pixels(&fixture.config, &grids, 1), &grids, &[prompt]);
    let plain = plain_head(fixture, 2).forward(&output.latents.readout.queries).unwrap();
    distance(&output.actions, &plain)
}

#[test]
fn new_projectors_leave_the_plain_action_head_in_every_variant() {
    for pool in POOLS {
        for fusion in FUSIONS {
            for norm in ["post", "pre"] {
                let new = &["geo_proj", "reason_proj", "reason_attn.o_proj"];
                let case = format!("{pool}, {fusion}, {norm}");
                assert!(from_plain(&fixture(pool, fusion, norm, new)) < 1e-6, "{case}");
                assert!(
                    from_plain(&fixture(pool, fusion, norm, &["geo_proj"])) > 1e-4,
                    "{case}: reasoning"
                );
                let new_reasoning = &["reason_proj", "reason_attn.o_proj"];
                assert!(
                    from_plain(&fixture(pool, fusion, norm, new_reasoning)) > 1e-4,
                    "{case}: geometry"
                );
            }
        }
    }
}

/// Row `index`, in raster order of the image, of one view's latents.
fn raster_row(latents: &Tensor, start: i64, grid: Grid, index: usize) -> Tensor {
    latents.select(0, start + merge_block_from_raster(index, grid, 2) as i64)
}

#[test]
fn the_geometry_condition_pools_the_patches_of_all_views() {
    let grids = [grid(4, 4), grid(2, 4)];
    for pool in ["mean", "max", "adaptive"] {
        let fixture = fixture(pool, "add", "post", &["reason_proj"]);
        let prompt = fixture.prompt("lift it", &grids);
        let output = fixture.run(&pixels(&fixture.config, &grids, 1), &grids, &[prompt]);
        let latents = output.latents.geometry.as_ref().unwrap();
        let pooled = match pool {
            "mean" => latents.mean_dim(0, true, Kind::Float),
            "max" => latents.amax(0, true),
            _ => {
                // 24 patches for 4 queries: six for each, across the boundary between the views.
                let first = (0..16).map(|i| raster_row(latents, 0, grids[0], i));
                let second = (0..8).map(|i| raster_row(latents, 16, grids[1], i));
                let rows: Vec<_> = first.chain(second).collect();
                Tensor::stack(&rows, 0)
                    .reshape([4, 6, -1])
                    .mean_dim(1, false, Kind::Float)
            }
        };
        let projector = Projector::new(
            Scope::new(&RandomWeights { seed: 2, initial: &[] }).at("geo_proj"),
            24,
            32,
        )
        .unwrap();
        let states = &output.latents.readout.queries + projector.forward(&pooled).unwrap();
        let expected = plain_head(&fixture, 2).forward(&states).unwrap();
        assert!(distance(&output.actions, &expected) < 1e-5, "{pool}");
    }
}

#[test]
fn several_anchors_have_states_of_their_own_and_act_by_their_mean() {
    let variant = thinkvla::model::init::variant::CheckpointVariant {
        anchors: 3,
        ..Default::default()
    };
    let weights = RandomWeights {
        seed: 2,
        initial: &["geo_proj"],
    };
    let fixture = NetworkFixture::with(tiny_variant(&variant), weights);
    let grids = [grid(4, 4)];
    let prompt = fixture.prompt("lift it", &grids);
    let output = fixture.run(&pixels(&fixture.config, &grids, 1), &grids, &[prompt]);
    let readout = &output.latents.readout;
    assert_eq!(readout.anchors.size(), [1, 3, 32]);
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        assert!(distance(&readout.anchors.select(1, one), &readout.anchors.select(1, other)) > 1e-3);
    }
    let projector = Projector::new(
        Scope::new(&RandomWeights { seed: 2, initial: &[] }).at("reason_proj"),
        32,
        32,
    )
    .unwrap();
    let conditions = projector.forward(output.latents.reasoning.as_ref().unwrap()).unwrap();
    let states = &readout.queries + conditions.mean_dim(1, true, Kind::Float);
    let expected = plain_head(&fixture, 2).forward(&states).unwrap();
    assert!(distance(&output.actions, &expected) < 1e-5);
}

#[test]
fn a_padded_batch_gives_what_each_moment_gives_alone_in_every_variant() {
    let moments = [[grid(4, 4), grid(2, 4)], [grid(2, 2), grid(4, 6)]];
    for (pool, fusion) in [("mean", "gate"), ("adaptive", "cross_attention"), ("attention", "add")] {
        let fixture = fixture(pool, fusion, "pre", &[]);
        let prompts = [
            fixture.prompt("lift the cube", &moments[0]),
            fixture.prompt("put the other long spoon into the drawer", &moments[1]),
        ];
        let images = [
            pixels(&fixture.config, &moments[0], 4),
            pixels(&fixture.config, &moments[1], 5),
        ];
        let together = fixture.run(&Tensor::cat(&images, 0), &moments.concat(), &prompts);
        for i in 0..2 {
            let alone = fixture.run(&images[i], &moments[i], std::slice::from_ref(&prompts[i]));
            let row = together.actions.narrow(0, i as i64, 1);
            assert!(distance(&alone.actions, &row) < 1e-4, "{pool}, {fusion}, moment {i}");
        }
    }
}
