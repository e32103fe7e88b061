//! Tests that an action head rescaled to other statistics gives the same actions.

use thinkvla::contract::{DimensionStatistics, Normalisation};
use thinkvla::training::config::settings::MethodSettings;
use thinkvla::training::rescale::rescale;

use crate::support::{Recipe, config, objective};

fn ranges(count: usize, [min, max]: [f64; 2]) -> Vec<DimensionStatistics> {
    let of = |nth: usize| DimensionStatistics {
        name: format!("d{nth}"),
        normalisation: Normalisation::MinMax,
        min,
        max,
        mean: 0.0,
        std: 1.0,
        q01: min,
        q99: max,
    };
    (0..count).map(of).collect()
}

#[test]
fn the_first_step_on_other_data_begins_with_the_actions_that_are_known() {
    let recipe = Recipe::read();
    let objective = objective(&recipe, config(&[]), MethodSettings::default());
    let mut batch = recipe.vla(objective.config());
    let counts = batch.counts().unwrap();
    let before = objective.action_error(&batch, &counts).unwrap();
    let width = batch.actions.size()[2] as usize;
    // The same actions lie at t/2 + 1/4 of a range that is twice as wide, with its centre half a unit lower.
    let (from, to) = (ranges(width, [-1.0, 1.0]), ranges(width, [-2.5, 1.5]));
    assert!(rescale(objective.parameters(), &from, &to).unwrap());
    batch.actions = batch.actions * 0.5 + 0.25;
    let after = objective.action_error(&batch, &counts).unwrap();
    assert!((after - 0.5 * before).abs() < 1e-9, "{before} {after}");
    assert!(!rescale(objective.parameters(), &to, &to).unwrap());
}
