use super::*;

const SHIPPED: &str = include_str!("../../../../config/robots/rm75.yaml");

fn refusal(from: &str, to: &str) -> String {
    assert!(SHIPPED.contains(from), "{from} is not in the shipped file");
    ArmConfig::parse(&SHIPPED.replace(from, to))
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn the_shipped_file_is_accepted_and_dry_run_is_its_default() {
    let config = ArmConfig::parse(SHIPPED).unwrap();
    assert!(config.dry_run);
    assert_eq!(config.command_rate_hz, 100.0);
    let ready = config.named("ready").unwrap();
    assert!((ready[3] - 60f64.to_radians()).abs() < 1e-12);
    assert_eq!(config.named("nowhere"), None);
}

#[test]
fn each_impossible_value_is_refused_by_name_with_its_line() {
    let line = |needle: &str| 1 + SHIPPED.lines().position(|l| l.contains(needle)).unwrap();
    for (from, to, field) in [
        ("command_rate_hz: 100", "command_rate_hz: 20", "command_rate_hz"),
        ("command_rate_hz: 100", "command_rate_hz: 1000", "command_rate_hz"),
        ("base_frame: base_link", "base_frame: ' '", "base_frame"),
        ("margin_rad: 0.05", "margin_rad: -0.1", "limits.margin_rad"),
        ("step_rad: 0.1745", "step_rad: 0.2", "limits.step_rad"),
        ("step_rad: 0.1745", "step_rad: 0.0", "limits.step_rad"),
        ("velocity_rad_s: [1.88", "velocity_rad_s: [3.2", "limits.velocity_rad_s"),
        (
            "acceleration_rad_s2: [6.0",
            "acceleration_rad_s2: [.nan",
            "limits.acceleration_rad_s2",
        ),
        ("upper_rad: [3.1", "upper_rad: [-3.05", "limits.upper_rad"),
        ("upper_rad: [3.1", "upper_rad: [-3.01", "limits.upper_rad"),
        ("tool_speed_m_s: 0.5", "tool_speed_m_s: 0", "limits.tool_speed_m_s"),
        ("slow: 60.0", "slow: 0", "singularity.slow"),
        ("halt: 150.0", "halt: 60.0", "singularity.halt"),
        ("tool_max_m: [0.65", "tool_max_m: [0.11", "workspace.tool_max_m"),
        (
            "table_height_m: 0.0",
            "table_height_m: .inf",
            "workspace.table_height_m",
        ),
        ("offset_m: [0.0", "offset_m: [0.9", "tool.offset_m"),
        ("heartbeat_s: 0.08", "heartbeat_s: 0.095", "timeouts.heartbeat_s"),
        ("state_s: 0.08", "state_s: 0.2", "timeouts.state_s"),
        ("lease_s: 1.0", "lease_s: 0.01", "timeouts.lease_s"),
        ("plan_s: 4.0", "plan_s: 0.1", "timeouts.plan_s"),
        ("start_rad: 0.05", "start_rad: 0.5", "tracking.start_rad"),
        ("blend_s: 0.15", "blend_s: 0.02", "executor.blend_s"),
        ("blend_max_s: 1.0", "blend_max_s: 0.1", "executor.blend_max_s"),
        ("hysteresis: 0.02", "hysteresis: 0.6", "gripper.hysteresis"),
        ("rate_hz: 10.0", "rate_hz: 11.0", "gripper.rate_hz"),
        ("ready: [0, 30", "ready: [0, 128", "named_deg.ready"),
    ] {
        let message = refusal(from, to);
        assert!(
            message.contains(&format!("line {}: {field}:", line(from))),
            "{from} -> {to}: {message}"
        );
    }
}

#[test]
fn values_at_the_very_ends_of_their_ranges_are_accepted() {
    for (from, to) in [
        ("command_rate_hz: 100", "command_rate_hz: 50"),
        ("command_rate_hz: 100", "command_rate_hz: 500"),
        ("margin_rad: 0.05", "margin_rad: 0"),
        ("step_rad: 0.1745", "step_rad: 0.17453292519943295"),
        ("velocity_rad_s: [1.88", "velocity_rad_s: [3.141592653589793"),
        ("acceleration_rad_s2: [6.0", "acceleration_rad_s2: [100.0"),
        ("lower_rad: [-3.1", "lower_rad: [-6.3"),
        ("tool_speed_m_s: 0.5", "tool_speed_m_s: 2"),
        ("tool_max_m: [0.65", "tool_max_m: [0.125"),
        ("tolerance_m: 0.05", "tolerance_m: 0"),
        ("tolerance_m: 0.05", "tolerance_m: 0.5"),
        ("heartbeat_s: 0.08", "heartbeat_s: 0.09"),
        ("lease_s: 1.0", "lease_s: 0.08"),
        ("plan_s: 4.0", "plan_s: 0.5"),
        ("start_rad: 0.05", "start_rad: 0.4"),
        ("blend_s: 0.15", "blend_s: 0.03"),
        ("blend_max_s: 1.0", "blend_max_s: 0.15"),
        ("hysteresis: 0.02", "hysteresis: 0"),
        ("ready: [0, 30", "ready: [0, 127"),
        ("ready: [0, 30", "ready: [0, -127"),
    ] {
        assert!(SHIPPED.contains(from), "{from} is not in the shipped file");
        let accepted = ArmConfig::parse(&SHIPPED.replace(from, to));
        assert!(accepted.is_ok(), "{from} -> {to}: {accepted:?}");
    }
}

#[test]
fn parameters_changed_after_reading_are_refused_in_the_same_words() {
    let mut config = ArmConfig::parse(SHIPPED).unwrap();
    assert_eq!(config.check(), Ok(()));
    config.limits.step_rad = 0.2;
    let message = config.check().unwrap_err().to_string();
    assert!(
        message.starts_with("limits.step_rad: expected a positive number up to 0.174")
            && message.ends_with("found 0.2"),
        "{message}"
    );
}

#[test]
fn high_follow_below_100_hz_is_refused() {
    let text = SHIPPED.replace("follow: false", "follow: true");
    assert!(ArmConfig::parse(&text).is_ok());
    let slow = text.replace("command_rate_hz: 100", "command_rate_hz: 90");
    assert!(ArmConfig::parse(&slow).unwrap_err().to_string().contains("high follow"));
}

#[test]
fn an_arm_of_unknown_kinematics_is_refused_with_its_line() {
    let message = refusal("arm: rm75", "arm: rm65");
    assert!(message.contains("rm65") && message.contains("rm75"), "{message}");
    assert!(message.contains("line 3"), "{message}");
}

#[test]
fn a_misspelt_key_is_refused_with_its_line() {
    let message = refusal("margin_rad", "margin_deg");
    assert!(message.contains("margin_deg") && message.contains("line"), "{message}");
}
