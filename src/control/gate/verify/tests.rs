use super::*;
use crate::control::config::ArmConfig;

fn config() -> ArmConfig {
    ArmConfig::parse(include_str!("../../../../config/robots/rm75.yaml")).unwrap()
}

fn verifier(config: &ArmConfig) -> Verifier {
    Verifier {
        limits: config.limits,
        workspace: config.workspace,
        arm_points: ArmGeometry::new(config.arm.kinematics(), &config.tool),
        period: config.period(),
    }
}

fn ready() -> Joints {
    config().named("ready").unwrap()
}

/// Step by `step` from `ready`, except that joint `index` (from 0) is at `position` and moves at `velocity`.
struct Step {
    index: usize,
    position: f64,
    velocity: f64,
    step: f64,
}

impl Step {
    fn fault(&self, config: &ArmConfig) -> Option<Violation> {
        let mut last = CommandedMotion::at_rest(ready());
        last.position[self.index] = self.position;
        last.velocity[self.index] = self.velocity;
        let mut next = last.position;
        next[self.index] += self.step;
        verifier(config).fault(&last, &next)
    }

    /// The mirrored step, for a joint whose limits are symmetric.
    fn mirrored(&self) -> Self {
        Self {
            index: self.index,
            position: -self.position,
            velocity: -self.velocity,
            step: -self.step,
        }
    }
}

/// Asserts that `step.step` passes on both sides, and that `more` beyond it is refused by `check` with its limit.
fn bounds(config: &ArmConfig, step: &Step, more: f64, check: Check, limit: f64) {
    let further = Step {
        step: step.step + more,
        ..*step
    };
    for (kept, broken) in [(step.mirrored(), further.mirrored()), (Step { ..*step }, further)] {
        assert_eq!(kept.fault(config), None);
        let found = broken.fault(config).unwrap();
        assert_eq!((found.check, found.index), (check, broken.index + 1));
        assert!((found.limit.abs() - limit).abs() < 1e-12, "{found}");
        assert!(found.found.abs() > limit && found.found.abs() < limit * 1.02, "{found}");
    }
}

#[test]
fn an_arm_at_rest_may_rest_and_a_moving_one_may_go_on() {
    let last = CommandedMotion::at_rest(ready());
    assert_eq!(verifier(&config()).fault(&last, &ready()), None);
    let cruising = Step {
        index: 6,
        position: 0.0,
        velocity: 1.5,
        step: 0.015,
    };
    assert_eq!(cruising.fault(&config()), None);
    assert_eq!(cruising.mirrored().fault(&config()), None);
}

#[test]
fn what_is_no_number_is_named_with_its_joint() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut next = ready();
        next[2] = value;
        let found = verifier(&config())
            .fault(&CommandedMotion::at_rest(ready()), &next)
            .unwrap();
        assert_eq!((found.check, found.index), (Check::Finite, 3));
    }
}

#[test]
fn joints_keep_their_margin_from_both_ends() {
    let step = Step {
        index: 6,
        position: 6.2295,
        velocity: 0.0,
        step: 0.0005,
    };
    bounds(&config(), &step, 1e-5, Check::JointLimit, 6.23);
}

#[test]
fn a_step_keeps_its_bound() {
    let mut config = config();
    config.limits.step_rad = 0.006;
    let step = Step {
        index: 6,
        position: 0.0,
        velocity: 0.58,
        step: 0.006,
    };
    bounds(&config, &step, 1e-5, Check::Step, 0.006);
}

#[test]
fn a_joint_keeps_its_velocity() {
    let step = Step {
        index: 6,
        position: 0.0,
        velocity: 1.82,
        step: 0.0188,
    };
    bounds(&config(), &step, 1e-5, Check::Velocity, 1.88);
}

#[test]
fn a_joint_keeps_its_acceleration_whether_it_speeds_up_or_slows_down() {
    let step = |velocity: f64, step: f64| Step {
        index: 6,
        position: 0.0,
        velocity,
        step,
    };
    bounds(&config(), &step(0.0, 0.001), 1e-5, Check::Acceleration, 10.0);
    bounds(&config(), &step(1.0, 0.011), 1e-5, Check::Acceleration, 10.0);
    let rounded = step(0.0, 0.001 + 5e-10);
    assert_eq!(rounded.fault(&config()), None);
    assert_eq!(step(1.0, 0.009).fault(&config()), None);
    let found = step(1.0, 0.0089).fault(&config()).unwrap();
    assert_eq!((found.check, found.index), (Check::Acceleration, 7));
    assert!((found.found - 11.0).abs() < 1e-9, "{found}");
}

#[test]
fn the_tool_keeps_its_speed() {
    let mut config = config();
    config.limits.tool_speed_m_s = 0.1;
    let reach = ArmGeometry::new(config.arm.kinematics(), &config.tool)
        .at(&ready())
        .tool
        .x;
    let step = |speed: f64| Step {
        index: 0,
        position: 0.0,
        velocity: 0.28,
        step: speed / reach * config.period(),
    };
    assert_eq!(step(0.1).fault(&config), None);
    let found = step(0.1002).fault(&config).unwrap();
    assert_eq!((found.check, found.limit), (Check::ToolSpeed, 0.1));
    assert!((found.found - 0.1002).abs() < 1e-5, "{found}");
}

#[test]
fn the_tool_stays_in_its_box() {
    let mut config = config();
    let step = Step {
        index: 0,
        position: 0.0,
        velocity: 0.0,
        step: 0.0005,
    };
    assert_eq!(step.fault(&config), None);
    config.workspace.tool_max_m[1] = 1e-4;
    let found = step.fault(&config).unwrap();
    assert_eq!((found.check, found.index), (Check::Workspace, 2));
}
