//! Strategy of random inputs.

use proptest::prelude::*;
use thinkvla::contract::{ActionSpace, Composition, Reference};
use thinkvla::control::lease::Priority;

use super::{Asked, ModelInput};

fn asked() -> impl Strategy<Value = Asked> {
    let scale = prop_oneof![10 => Just(0.01), 4 => Just(0.03), 2 => Just(0.2), 1 => Just(5.0), 1 => Just(0.0)];
    (
        prop_oneof![Just(ActionSpace::Ee7), Just(ActionSpace::Joint8)],
        prop_oneof![3 => Just(Composition::Sequential), 1 => Just(Composition::FromAnchor)],
        prop_oneof![Just(Reference::Commanded), Just(Reference::Measured)],
        (scale, [-1.0..1.0, -1.0..1.0, -1.0..1.0f64]).prop_map(|(scale, way)| way.map(|w| w * scale)),
        1..30u8,
        prop_oneof![3 => Just(0.1), 1 => 0.005..0.5],
        prop_oneof![3 => Just(0.0), 1 => -0.1..0.6],
        prop::bool::weighted(0.05),
    )
        .prop_map(
            |(space, composition, reference, step, count, period, late, foreign)| Asked {
                space,
                composition,
                reference,
                step,
                count,
                period,
                late,
                foreign,
            },
        )
}

pub(super) fn input() -> impl Strategy<Value = ModelInput> {
    use ModelInput::*;
    prop_oneof![
        12 => (1..25u8).prop_map(Ticks),
        8 => asked().prop_map(Chunk),
        2 => any::<bool>().prop_map(Move),
        1 => Just(CancelMove),
        5 => Just(Arm),
        2 => Just(Disarm),
        1 => Just(Stop),
        3 => Just(Reset),
        3 => Just(Acquire(Priority::Policy)),
        1 => Just(Acquire(Priority::Operator)),
        1 => Just(Release),
        2 => prop::bool::weighted(0.7).prop_map(Heartbeat),
        2 => prop::bool::weighted(0.3).prop_map(DropStates),
        2 => prop::bool::weighted(0.3).prop_map(Frozen),
        2 => prop_oneof![2 => Just(0), 1 => Just(0x100D)].prop_map(Error),
        2 => prop_oneof![3 => Just(1usize), 1 => Just(2), 1 => Just(0)].prop_map(Publishers),
        1 => prop_oneof![-10.0..10.0, -0.3..0.3].prop_map(Jump),
        1 => prop_oneof![3 => Just(1.0), 1 => Just(0.0), 1 => 0.1..10.0].prop_map(Rate),
        2 => prop_oneof![0.01..0.1, Just(2.0)].prop_map(Stall),
        8 => Just(Recover),
        1 => prop_oneof![-0.06..0.06, -0.002..0.002].prop_map(Push),
        1 => prop_oneof![1 => Just(0.0), 2 => 0.3..0.95].prop_map(Lag),
    ]
}
