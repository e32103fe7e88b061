//! Additive integration: what the conditions do to the actions, and what they do not before they were trained.

use tch::Kind;
use thinkvla::model::config::GeoPool;
use thinkvla::model::heads::{ActionHead, ActionHeadSize, Projector};
use thinkvla::model::parameters::Scope;

use crate::support::{Bench, Lively, distance, grid, pixels, tiny};

fn plain_head(bench: &Bench, seed: u64) -> ActionHead {
    let ours = &bench.config.thinkvla;
    let size = ActionHeadSize {
        inputs: bench.config.text_config.hidden_size,
        hidden: ours.head_hidden,
        blocks: ours.head_blocks,
        outputs: ours.action_dim,
    };
    let weights = Lively { seed, initial: &[] };
    ActionHead::new(Scope::new(&weights).at("action_model.model"), size).unwrap()
}

#[test]
fn new_projectors_leave_the_plain_action_head() {
    let grids = [grid(4, 4), grid(4, 4)];
    for (initial, same) in [
        (&["geo_proj", "reason_proj"][..], true),
        (&["geo_proj"], false),
        (&["reason_proj"], false),
    ] {
        let bench = Bench::with(tiny(), Lively { seed: 2, initial });
        let output = bench.run(
            &pixels(&bench.config, &grids, 1),
            &grids,
            &[bench.prompt("lift it", &grids)],
        );
        let plain = plain_head(&bench, 2).forward(&output.latents.thought.queries).unwrap();
        assert_eq!(distance(&output.actions, &plain) < 1e-6, same, "fresh: {initial:?}");
    }
}

#[test]
fn the_geometry_condition_pools_the_patches_of_all_views() {
    let grids = [grid(4, 4), grid(2, 2)];
    for pool in [GeoPool::Mean, GeoPool::Max] {
        let mut config = tiny();
        config.thinkvla.geo_pool = pool;
        let weights = Lively {
            seed: 2,
            initial: &["reason_proj"],
        };
        let bench = Bench::with(config, weights);
        let output = bench.run(
            &pixels(&bench.config, &grids, 1),
            &grids,
            &[bench.prompt("lift it", &grids)],
        );
        let latents = &output.latents.geometry;
        let pooled = match pool {
            GeoPool::Mean => latents.mean_dim(0, false, Kind::Float),
            GeoPool::Max => latents.amax(0, false),
        };
        let projector = Projector::new(Scope::new(&Lively { seed: 2, initial: &[] }).at("geo_proj"), 24, 32).unwrap();
        let states = &output.latents.thought.queries + projector.forward(&pooled).unwrap();
        let expected = plain_head(&bench, 2).forward(&states).unwrap();
        assert!(distance(&output.actions, &expected) < 1e-6, "{pool:?}");
    }
}
