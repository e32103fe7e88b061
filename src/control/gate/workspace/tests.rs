use super::*;

const SPACE: Workspace = Workspace {
    tool_min_m: [0.1, -0.4, 0.0],
    tool_max_m: [0.6, 0.5, 0.7],
    tolerance_m: 0.05,
    table_height_m: 0.02,
    tool_clearance_m: 0.01,
    link_clearance_m: 0.06,
};

fn placement(tool: [f64; 3]) -> PointPlacement {
    PointPlacement {
        tool: tool.into(),
        lowest_tool_m: tool[2],
        lowest_link_m: 0.3,
    }
}

#[test]
fn each_side_of_the_box_is_named_with_its_axis_and_limit() {
    let inside = [0.3, 0.1, 0.3];
    assert_eq!(SPACE.violation(&placement(inside)), None);
    for axis in 0..3 {
        for (limit, out) in [(SPACE.tool_min_m[axis], -1e-3), (SPACE.tool_max_m[axis], 1e-3)] {
            let mut tool = inside;
            tool[axis] = limit + out;
            let mut outside = placement(tool);
            outside.lowest_tool_m = 0.3;
            let found = SPACE.violation(&outside).unwrap();
            assert_eq!(
                (found.check, found.index, found.limit),
                (Check::Workspace, axis + 1, limit)
            );
            assert_eq!(found.found, tool[axis]);
            for inside in [limit, limit + slack(limit) * out.signum()] {
                outside.tool[axis] = inside;
                assert_eq!(SPACE.violation(&outside), None, "on the side is inside");
            }
        }
    }
}

#[test]
fn tool_and_links_keep_their_own_clearance_above_the_table() {
    let at = |lowest_tool_m: f64, lowest_link_m: f64| {
        SPACE
            .violation(&PointPlacement {
                lowest_tool_m,
                lowest_link_m,
                ..placement([0.3, 0.1, 0.3])
            })
            .map(|found| (found.check, found.quantity, found.limit))
    };
    assert_eq!(at(0.03, 0.08), None);
    let lowest = |clearance: f64| {
        let limit = SPACE.table_height_m + clearance;
        limit - slack(limit)
    };
    assert_eq!(at(lowest(SPACE.tool_clearance_m), lowest(SPACE.link_clearance_m)), None);
    assert_eq!(at(0.0299, 0.08), Some((Check::Table, "height of tool point", 0.03)));
    assert_eq!(at(0.03, 0.0799), Some((Check::Table, "height of link point", 0.08)));
}

#[test]
fn waypoints_outside_come_to_lie_a_little_inside_and_those_inside_stay() {
    let moved = |tool: [f64; 3], lowest: f64| SPACE.correction(&tool.into(), lowest);
    assert_eq!(moved([0.3, 0.1, 0.3], 0.25), Vector3::zeros());
    let found = moved([0.08, 0.52, 0.73], 0.7);
    assert!((found - Vector3::new(0.022, -0.022, -0.032)).amax() < 1e-12, "{found}");
    let found = moved([0.63, -0.43, 0.3], 0.2);
    assert!((found - Vector3::new(-0.032, 0.032, 0.0)).amax() < 1e-12, "{found}");
    // A waypoint inside stays, even if closer to a wall than the inset.
    assert_eq!(moved([0.1005, 0.4995, 0.3], 0.25), Vector3::zeros());
}

#[test]
fn a_tool_whose_lowest_point_is_under_the_clearance_is_lifted() {
    let found = SPACE.correction(&[0.3, 0.1, 0.05].into(), 0.01);
    assert!((found - Vector3::new(0.0, 0.0, 0.022)).amax() < 1e-12, "{found}");
    // A point above the clearance stays, even if by less than the inset.
    assert_eq!(SPACE.correction(&[0.3, 0.1, 0.05].into(), 0.0301), Vector3::zeros());
}

#[test]
fn what_is_outside_says_so_with_limit_and_unit() {
    let mut outside = placement([0.3, 0.501, 0.3]);
    let message = SPACE.violation(&outside).unwrap().to_string();
    assert_eq!(message, "tool coordinate 2: expected at most 0.5000 m, found 0.5010 m");
    outside.tool.y = 0.1;
    outside.lowest_tool_m = 0.0299;
    let message = SPACE.violation(&outside).unwrap().to_string();
    assert_eq!(
        message,
        "height of tool point 1: expected at least 0.0300 m, found 0.0299 m"
    );
}
