use nalgebra::vector;
use proptest::prelude::*;

use super::*;
use crate::operator::hand::Twist;
use crate::operator::mapping::Engage;
use crate::operator::mapping::tests::shipped_mapping;

const LEASE: u64 = 7;

fn at(seconds: f64) -> Time {
    Time::from_secs_f64(1000.0 + seconds)
}

/// An arm that follows every chunk at once, and a hand.
struct Bench {
    session: Session,
    arm: Arm,
    hand: Hand,
    lease: Option<u64>,
    now: f64,
    chunk: Option<ActionChunk>,
}

impl Bench {
    fn new(name: &str) -> Self {
        Self::of(shipped_mapping(name))
    }

    fn of(mapping: Mapping) -> Self {
        Self {
            session: Session::new(mapping, "base_link"),
            arm: Arm {
                stamp: at(0.0),
                received: at(0.0),
                readiness: Readiness::Ready,
                lease: LEASE,
                pose: Pose::new(vector![0.4, 0.0, 0.3], vector![3.0, 0.0, 0.0]),
                joints: Joints::repeat(0.3),
                gripper: Some(1.0),
            },
            hand: Hand {
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

    /// A report of the arm 50 ms later, which has followed one step of the last chunk.
    fn look(&mut self) -> Step {
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
            .look(&self.hand, Some(&self.arm), self.lease, at(self.now))
            .unwrap();
        self.chunk = match &step {
            Step::Send(chunk) => Some(chunk.as_ref().clone()),
            _ => None,
        };
        step
    }

    fn push(&mut self, x: f64) {
        self.hand.held = true;
        self.hand.intent = Some(Intent::Twist(Twist {
            linear: vector![x, 0.0, 0.0],
            angular: Vector3::zeros(),
        }));
    }

    fn sent(&mut self) -> ActionChunk {
        match self.look() {
            Step::Send(chunk) => *chunk,
            other => panic!("expected a chunk, found {other:?}"),
        }
    }
}

/// Lengths of the translation and rotation of each step of a chunk.
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
    let mut bench = Bench::new("gamepad");
    bench.lease = None;
    bench.arm.lease = 3;
    assert_eq!(bench.look(), Step::Rest);
    bench.push(1.0);
    assert_eq!(bench.look(), Step::Acquire);
    bench.lease = Some(LEASE);
    assert_eq!(bench.look(), Step::Rest, "the arm does not say so yet");
    bench.arm.lease = LEASE;
    bench.arm.readiness = Readiness::Busy;
    assert_eq!(bench.look(), Step::Rest, "it still brakes");
    bench.arm.readiness = Readiness::Ready;
    let chunk = bench.sent();
    assert_eq!(
        (chunk.lease, chunk.source.as_str(), chunk.frame.as_str()),
        (LEASE, "teleop", "base_link")
    );
    assert_eq!(chunk.observed, bench.arm.stamp);
}

#[test]
fn letting_go_ends_motion_and_a_new_press_starts_from_where_the_arm_is() {
    let mut bench = Bench::new("gamepad");
    bench.push(1.0);
    for _ in 0..20 {
        bench.look();
    }
    bench.hand.held = false;
    assert!(matches!(bench.look(), Step::LetGo(_)));
    assert_eq!(bench.look(), Step::Rest);
    // Somebody else moves the arm meanwhile.
    bench.arm.pose.translation.vector += vector![0.1, 0.1, 0.0];
    bench.push(0.0);
    let chunk = bench.sent();
    assert!(
        step_lengths(&chunk)
            .iter()
            .all(|(moved, turned)| *moved == 0.0 && *turned == 0.0)
    );
}

#[test]
fn what_the_hand_did_not_end_needs_a_new_press() {
    let spoil: [fn(&mut Bench); 4] = [
        |bench| bench.hand.fault = Some("silent".into()),
        |bench| bench.arm.lease = 99,
        |bench| bench.arm.readiness = Readiness::Away("stopped".into()),
        |bench| bench.lease = None,
    ];
    for spoil in spoil {
        let mut bench = Bench::new("gamepad");
        bench.push(1.0);
        bench.sent();
        spoil(&mut bench);
        assert!(matches!(bench.look(), Step::LetGo(_)));
        bench.hand.fault = None;
        bench.lease = Some(LEASE);
        bench.arm.lease = LEASE;
        bench.arm.readiness = Readiness::Ready;
        assert_eq!(bench.look(), Step::Rest, "still pressed");
        bench.hand.held = false;
        assert_eq!(bench.look(), Step::Rest);
        bench.push(1.0);
        bench.sent();
    }
}

#[test]
fn an_arm_node_that_falls_silent_is_let_go_of() {
    let mut bench = Bench::new("gamepad");
    bench.push(1.0);
    bench.sent();
    let (hand, arm) = (bench.hand.clone(), bench.arm.clone());
    let step = bench
        .session
        .look(&hand, Some(&arm), Some(LEASE), at(bench.now + 0.5))
        .unwrap();
    assert!(matches!(step, Step::LetGo(why) if why.contains("arm_node")));
}

#[test]
fn a_chunk_goes_out_once_a_report() {
    let mut bench = Bench::new("gamepad");
    bench.push(1.0);
    bench.sent();
    let (hand, arm) = (bench.hand.clone(), bench.arm.clone());
    let again = bench
        .session
        .look(&hand, Some(&arm), Some(LEASE), at(bench.now + 0.01))
        .unwrap();
    assert_eq!(again, Step::Rest);
}

#[test]
fn the_tool_frame_turns_the_motion() {
    let mut mapping = shipped_mapping("gamepad");
    if let Input::Joy(joy) = &mut mapping.input {
        joy.frame = crate::operator::mapping::Frame::Tool;
    }
    let mut bench = Bench::of(mapping);
    bench.arm.pose.rotation = nalgebra::UnitQuaternion::from_euler_angles(0.0, 0.0, std::f64::consts::FRAC_PI_2);
    bench.push(1.0);
    let chunk = bench.sent();
    let last = chunk.actions.steps().last().unwrap().to_vec();
    assert!(last[1] > 0.0 && last[0].abs() < 1e-12, "{last:?}");
}

fn hand_at(x: f64) -> Intent {
    Intent::Pose(Pose::translation(x, 0.0, 0.0))
}

#[test]
fn a_clutch_moves_the_tool_by_what_the_hand_moved_since_it_was_closed() {
    let mut bench = Bench::new("vr");
    let start = bench.arm.pose;
    bench.hand.held = true;
    bench.hand.intent = Some(hand_at(5.0));
    for _ in 0..5 {
        bench.look();
    }
    assert!((bench.arm.pose.translation.vector - start.translation.vector).norm() < 1e-12);
    bench.hand.intent = Some(hand_at(5.05));
    for _ in 0..100 {
        bench.look();
    }
    let moved = bench.arm.pose.translation.vector - start.translation.vector;
    assert!((moved - vector![0.05, 0.0, 0.0]).norm() < 1e-6, "{moved}");
    // Opened, the hand goes anywhere.
    bench.hand.held = false;
    bench.look();
    bench.hand.intent = Some(hand_at(-3.0));
    bench.look();
    let before = bench.arm.pose;
    bench.hand.held = true;
    for _ in 0..10 {
        bench.look();
    }
    assert!((bench.arm.pose.translation.vector - before.translation.vector).norm() < 1e-12);
}

#[test]
fn another_scale_does_not_move_a_clutched_tool() {
    let mut bench = Bench::new("vr");
    bench.hand.held = true;
    bench.hand.intent = Some(hand_at(0.0));
    bench.look();
    bench.hand.intent = Some(hand_at(0.08));
    for _ in 0..100 {
        bench.look();
    }
    let before = bench.arm.pose;
    bench.session.command(&Command::Slower);
    for _ in 0..20 {
        bench.look();
    }
    assert!((bench.arm.pose.translation.vector - before.translation.vector).norm() < 1e-6);
}

#[test]
fn a_leader_away_from_the_arm_is_refused_with_its_joints() {
    let mut bench = Bench::new("leader");
    bench.hand.held = true;
    let mut leader = bench.arm.joints;
    leader[1] += 0.2;
    leader[6] -= 0.3;
    bench.hand.intent = Some(Intent::Joints(leader));
    let Step::Refuse(why) = bench.look() else {
        panic!("engaged")
    };
    assert!(
        why.contains("joint2 +0.200") && why.contains("joint7 -0.300") && !why.contains("joint1 "),
        "{why}"
    );
    assert_eq!(bench.look(), Step::Rest, "until the deadman is let go");
    bench.hand.held = false;
    bench.look();
    bench.hand.held = true;
    bench.hand.intent = Some(Intent::Joints(bench.arm.joints));
    bench.sent();
}

#[test]
fn a_leader_may_be_come_to_slowly_and_is_then_followed_at_full_speed() {
    let mut mapping = shipped_mapping("leader");
    let Input::Leader(leader) = &mut mapping.input else {
        panic!()
    };
    leader.engage = Engage::Ramp;
    let (speed, slowest) = (leader.speed_rad_s, mapping.scale.steps[0]);
    let mut bench = Bench::of(mapping);
    bench.hand.held = true;
    let target = bench.arm.joints.add_scalar(0.3);
    bench.hand.intent = Some(Intent::Joints(target));
    for _ in 0..400 {
        let before = bench.arm.joints;
        bench.look();
        let moved = (bench.arm.joints - before).norm();
        assert!(
            moved <= speed * slowest * STEP_S + 1e-9 || (target - before).amax() <= 0.1 + 0.02,
            "{moved}"
        );
    }
    assert!((bench.arm.joints - target).amax() < 1e-6);
}

#[test]
fn the_gripper_goes_on_from_what_was_commanded_and_only_with_the_deadman() {
    let mut bench = Bench::new("gamepad");
    bench.arm.gripper = Some(0.0);
    bench.session.command(&Command::ToggleGripper);
    bench.look();
    bench.push(0.0);
    let opening = |chunk: ActionChunk| chunk.actions.steps().next().unwrap()[6];
    assert_eq!(opening(bench.sent()), 0.0);
    bench.session.command(&Command::ToggleGripper);
    assert_eq!(opening(bench.sent()), 1.0);
}

proptest! {
    #[test]
    fn no_step_is_longer_than_speed_times_scale_and_released_is_no_motion(
        pushes in prop::collection::vec((any::<bool>(), prop::array::uniform6(-2.0..2.0f64), 0..4u8), 1..60),
    ) {
        let mut bench = Bench::new("gamepad");
        let speed = bench.session.mapping.input.tool_speed().unwrap();
        // Largest scale since the press: what moves faster already is brought down by the acceleration.
        let mut largest = 0.0_f64;
        for (held, push, command) in pushes {
            match command {
                0 => { bench.session.command(&Command::Faster); }
                1 => { bench.session.command(&Command::Slower); }
                _ => {}
            }
            let scale = bench.session.scale();
            largest = if held { largest.max(scale) } else { 0.0 };
            bench.hand.held = held;
            bench.hand.intent = Some(Intent::Twist(Twist {
                linear: Vector3::from_column_slice(&push[..3]),
                angular: Vector3::from_column_slice(&push[3..]),
            }));
            let step = bench.look();
            match step {
                Step::Send(chunk) => {
                    prop_assert!(held);
                    for (moved, turned) in step_lengths(&chunk) {
                        prop_assert!(moved <= speed.linear_m_s * largest * STEP_S + 1e-9, "{} m", moved);
                        prop_assert!(turned <= speed.angular_rad_s * largest * STEP_S + 1e-9, "{} rad", turned);
                    }
                }
                _ => prop_assert!(!held, "{:?}", step),
            }
        }
    }

    #[test]
    fn a_press_begins_without_a_jump_wherever_arm_and_hand_are(
        arm in prop::array::uniform6(-0.5..0.5f64), first in prop::array::uniform6(-5.0..5.0f64),
        second in prop::array::uniform6(-5.0..5.0f64),
    ) {
        let pose = |v: [f64; 6]| Pose::new(vector![v[0], v[1], v[2]], vector![v[3], v[4], v[5]]);
        let mut bench = Bench::new("vr");
        bench.arm.pose = pose(arm);
        for hand in [first, second] {
            bench.hand.held = true;
            bench.hand.intent = Some(Intent::Pose(pose(hand)));
            for (moved, turned) in step_lengths(&bench.sent()) {
                prop_assert!(moved < 1e-9 && turned < 1e-9, "{} m, {} rad", moved, turned);
            }
            bench.hand.held = false;
            bench.look();
        }
    }

    #[test]
    fn no_reading_that_is_no_number_moves_the_arm(value in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY])) {
        let mut bench = Bench::new("gamepad");
        bench.push(value);
        for _ in 0..5 {
            if let Step::Send(chunk) = bench.look() {
                prop_assert!(chunk.actions.values().iter().all(|v| v.is_finite()));
                prop_assert!(step_lengths(&chunk).iter().all(|(moved, _)| *moved == 0.0));
            }
        }
    }
}
