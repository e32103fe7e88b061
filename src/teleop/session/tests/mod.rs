mod followed;
mod properties;

use nalgebra::{Vector3, vector};

use super::*;
use crate::contract::ActionSpace;
use crate::teleop::input_device::Twist;
use crate::teleop::mapping::tests::shipped_mapping;
use crate::teleop::mapping::{Input, Mapping};
use crate::types::{JOINTS, Joints, Pose};

const LEASE: u64 = 7;

fn at(seconds: f64) -> Time {
    Time::from_secs_f64(1000.0 + seconds)
}

/// Arm that follows every chunk at once, and a hand.
struct SessionFixture {
    session: TeleopSession,
    arm: ObservedArm,
    reading: InputReading,
    lease: Option<u64>,
    now: f64,
    chunk: Option<ActionChunk>,
}

impl SessionFixture {
    fn new(name: &str) -> Self {
        Self::of(shipped_mapping(name))
    }

    fn of(mapping: Mapping) -> Self {
        Self {
            session: TeleopSession::new(mapping, "base_link"),
            arm: ObservedArm {
                stamp: at(0.0),
                received: at(0.0),
                readiness: Readiness::Ready,
                lease: LEASE,
                pose: Pose::new(vector![0.4, 0.0, 0.3], vector![3.0, 0.0, 0.0]),
                joints: Joints::repeat(0.3),
                gripper: Some(1.0),
            },
            reading: InputReading {
                held: false,
                intent: Some(Intent::Twist(Twist::default())),
                gripper: None,
                fault: None,
            },
            lease: Some(LEASE),
            now: 0.0,
            chunk: None,
        }
    }

    /// Reports the arm 50 ms later, after it has followed one step of the last chunk.
    fn observe(&mut self) -> SessionStep {
        self.now += STEP_S;
        if let Some(chunk) = &self.chunk
            && let Some(step) = chunk.actions.steps().next()
        {
            match chunk.actions.space() {
                ActionSpace::Ee7 => {
                    let turn = nalgebra::UnitQuaternion::from_scaled_axis(vector![step[3], step[4], step[5]]);
                    self.arm.pose.translation.vector += vector![step[0], step[1], step[2]];
                    self.arm.pose.rotation = turn * self.arm.pose.rotation;
                }
                ActionSpace::Joint8 => self.arm.joints += Joints::from_iterator(step[..JOINTS].iter().copied()),
            }
        }
        (self.arm.stamp, self.arm.received) = (at(self.now), at(self.now));
        let step = self
            .session
            .update(&self.reading, Some(&self.arm), self.lease, at(self.now))
            .unwrap();
        self.chunk = match &step {
            SessionStep::Send(chunk) => Some(chunk.as_ref().clone()),
            _ => None,
        };
        step
    }

    fn push(&mut self, x: f64) {
        self.reading.held = true;
        self.reading.intent = Some(Intent::Twist(Twist {
            linear: vector![x, 0.0, 0.0],
            angular: Vector3::zeros(),
        }));
    }

    fn sent(&mut self) -> ActionChunk {
        match self.observe() {
            SessionStep::Send(chunk) => *chunk,
            other => panic!("expected a chunk, found {other:?}"),
        }
    }
}

/// Returns the lengths of the translation and rotation of each step of a chunk.
fn step_lengths(chunk: &ActionChunk) -> Vec<(f64, f64)> {
    let mut last = vec![0.0; chunk.actions.space().dim()];
    let norm = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    chunk
        .actions
        .steps()
        .map(|step| {
            let lengths = (norm(&step[..3], &last[..3]), norm(&step[3..6], &last[3..6]));
            last = step.to_vec();
            lengths
        })
        .collect()
}

#[test]
fn nothing_is_sent_until_the_deadman_is_held_and_the_lease_granted() {
    let mut fixture = SessionFixture::new("gamepad");
    fixture.lease = None;
    fixture.arm.lease = 3;
    assert_eq!(fixture.observe(), SessionStep::Rest);
    fixture.push(1.0);
    assert_eq!(fixture.observe(), SessionStep::Acquire);
    fixture.lease = Some(LEASE);
    assert_eq!(fixture.observe(), SessionStep::Rest, "the arm does not say so yet");
    fixture.arm.lease = LEASE;
    fixture.arm.readiness = Readiness::Busy;
    assert_eq!(fixture.observe(), SessionStep::Rest, "it still brakes");
    fixture.arm.readiness = Readiness::Ready;
    let chunk = fixture.sent();
    assert_eq!(
        (chunk.lease, chunk.source.as_str(), chunk.frame.as_str()),
        (LEASE, "teleop", "base_link")
    );
    assert_eq!(chunk.observed, fixture.arm.stamp);
}

#[test]
fn letting_go_ends_motion_and_a_new_press_starts_from_where_the_arm_is() {
    let mut fixture = SessionFixture::new("gamepad");
    fixture.push(1.0);
    for _ in 0..20 {
        fixture.observe();
    }
    fixture.reading.held = false;
    assert!(matches!(fixture.observe(), SessionStep::LetGo(_)));
    assert_eq!(fixture.observe(), SessionStep::Rest);
    // Another source moves the arm meanwhile.
    fixture.arm.pose.translation.vector += vector![0.1, 0.1, 0.0];
    fixture.push(0.0);
    let chunk = fixture.sent();
    assert!(
        step_lengths(&chunk)
            .iter()
            .all(|(moved, turned)| *moved == 0.0 && *turned == 0.0)
    );
}

#[test]
fn what_the_hand_did_not_end_needs_a_new_press() {
    let spoil: [fn(&mut SessionFixture); 4] = [
        |fixture| fixture.reading.fault = Some("silent".into()),
        |fixture| fixture.arm.lease = 99,
        |fixture| fixture.arm.readiness = Readiness::Away("stopped".into()),
        |fixture| fixture.lease = None,
    ];
    for spoil in spoil {
        let mut fixture = SessionFixture::new("gamepad");
        fixture.push(1.0);
        fixture.sent();
        spoil(&mut fixture);
        assert!(matches!(fixture.observe(), SessionStep::LetGo(_)));
        fixture.reading.fault = None;
        fixture.lease = Some(LEASE);
        fixture.arm.lease = LEASE;
        fixture.arm.readiness = Readiness::Ready;
        assert_eq!(fixture.observe(), SessionStep::Rest, "still pressed");
        fixture.reading.held = false;
        assert_eq!(fixture.observe(), SessionStep::Rest);
        fixture.push(1.0);
        fixture.sent();
    }
}

#[test]
fn an_arm_node_that_falls_silent_is_let_go_of() {
    let mut fixture = SessionFixture::new("gamepad");
    fixture.push(1.0);
    fixture.sent();
    let (reading, arm) = (fixture.reading.clone(), fixture.arm.clone());
    let step = fixture
        .session
        .update(&reading, Some(&arm), Some(LEASE), at(fixture.now + 0.5))
        .unwrap();
    assert!(matches!(step, SessionStep::LetGo(why) if why.contains("arm_node")));
}

#[test]
fn a_chunk_goes_out_once_a_report() {
    let mut fixture = SessionFixture::new("gamepad");
    fixture.push(1.0);
    fixture.sent();
    let (reading, arm) = (fixture.reading.clone(), fixture.arm.clone());
    let again = fixture
        .session
        .update(&reading, Some(&arm), Some(LEASE), at(fixture.now + 0.01))
        .unwrap();
    assert_eq!(again, SessionStep::Rest);
}

#[test]
fn the_tool_frame_turns_the_motion() {
    let mut mapping = shipped_mapping("gamepad");
    if let Input::Joy(joy) = &mut mapping.input {
        joy.frame = crate::teleop::mapping::VelocityFrame::Tool;
    }
    let mut fixture = SessionFixture::of(mapping);
    fixture.arm.pose.rotation = nalgebra::UnitQuaternion::from_euler_angles(0.0, 0.0, std::f64::consts::FRAC_PI_2);
    fixture.push(1.0);
    let chunk = fixture.sent();
    let last = chunk.actions.steps().last().unwrap().to_vec();
    assert!(last[1] > 0.0 && last[0].abs() < 1e-12, "{last:?}");
}

#[test]
fn the_gripper_goes_on_from_what_was_commanded_and_only_with_the_deadman() {
    let mut fixture = SessionFixture::new("gamepad");
    fixture.arm.gripper = Some(0.0);
    fixture.session.command(&Command::ToggleGripper);
    fixture.observe();
    fixture.push(0.0);
    let opening = |chunk: ActionChunk| chunk.actions.steps().next().unwrap()[6];
    assert_eq!(opening(fixture.sent()), 0.0);
    fixture.session.command(&Command::ToggleGripper);
    assert_eq!(opening(fixture.sent()), 1.0);
}
