use super::*;
use crate::recording::steps::Commanded;
use crate::types::{Joints, Pose};

const RULE: SamplingRule = SamplingRule {
    fps: 10.0,
    slop_s: 0.03,
    wait_s: 0.2,
    frozen_s: 0.35,
    missing_share: 0.1,
    gap_s: 0.25,
    begin_with_motion: false,
};

fn seconds(s: f64) -> Time {
    Time::from_secs_f64(100.0 + s)
}

fn state(s: f64) -> ArmState {
    let joints = Joints::repeat(s);
    ArmState {
        joints,
        tool: Pose::translation(s, 0.0, 0.0),
        commanded: Commanded {
            joints,
            tool: Pose::translation(s, 0.0, 0.0),
            gripper: 1.0,
        },
        following: true,
    }
}

/// Samples two seconds of a 30 Hz camera and a 20 Hz arm. `picture` gives the content of an image by its number, or
/// drops it.
fn run(picture: impl Fn(u32) -> Option<u64>) -> (RecordingSampler<u32>, Vec<Tick<u32>>) {
    let mut sampler = RecordingSampler::new(RULE, ["top".to_owned()]);
    sampler.begin(seconds(0.0));
    let mut ticks = Vec::new();
    for ms in 0..2_300_u32 {
        let now = f64::from(ms) / 1000.0;
        if ms % 50 == 0 {
            sampler.arm(seconds(now), state(now));
        }
        let number = ms * 30 / 1000;
        if ms == (number * 1000).div_ceil(30)
            && let Some(content) = picture(number)
        {
            sampler.picture(
                0,
                seconds(now),
                CameraSample {
                    payload: number,
                    content,
                },
            );
        }
        if ms == 1_950 {
            sampler.end(seconds(now));
        }
        ticks.extend(std::iter::from_fn(|| sampler.next(seconds(now))));
    }
    (sampler, ticks)
}

#[test]
fn samples_are_evenly_spaced_and_their_pictures_near() {
    let (sampler, ticks) = run(|number| Some(u64::from(number)));
    assert_eq!(ticks.len(), 20);
    for (tick, k) in ticks.iter().zip(0..) {
        let at = f64::from(k) / 10.0;
        assert_eq!(tick.time, seconds(at));
        assert_eq!(tick.pictures, [k * 3]);
        assert!((tick.arm.tool.translation.x - at).abs() < 1e-9);
    }
    assert_eq!(sampler.refusal(), None);
}

#[test]
fn a_lost_picture_is_counted_and_a_gap_refuses_the_episode() {
    let (sampler, ticks) = run(|number| (number != 30).then_some(u64::from(number)));
    assert_eq!(ticks.len(), 20);
    let (_, counts) = sampler.counts().next().unwrap();
    assert_eq!((counts.missing, sampler.refusal()), (1, None));

    let (sampler, _) = run(|number| (!(20..40).contains(&number)).then_some(u64::from(number)));
    assert!(
        sampler
            .refusal()
            .unwrap()
            .starts_with("top: expected at most 2 of 20 samples without it")
    );
}

#[test]
fn a_picture_that_repeats_while_the_arm_moves_is_of_a_frozen_camera() {
    let (sampler, _) = run(|number| Some(u64::from(number.min(20))));
    assert!(sampler.refusal().unwrap().contains("top"));
    assert!(sampler.refusal().unwrap().contains("frozen"));
}

#[test]
fn a_silent_arm_makes_no_samples() {
    let mut sampler: RecordingSampler<u32> = RecordingSampler::new(RULE, ["top".to_owned()]);
    sampler.begin(seconds(0.0));
    for k in 0..30_u32 {
        sampler.picture(
            0,
            seconds(f64::from(k) / 30.0),
            CameraSample {
                payload: k,
                content: u64::from(k),
            },
        );
        assert_eq!(sampler.next(seconds(f64::from(k) / 30.0)), None);
    }
    assert!(sampler.refusal().unwrap().starts_with("arm: "));
}

#[test]
fn what_came_before_an_episode_is_not_counted_in_it() {
    let mut sampler: RecordingSampler<u32> = RecordingSampler::new(RULE, ["top".to_owned()]);
    let show = |sampler: &mut RecordingSampler<u32>, k: u32| {
        let image = CameraSample {
            payload: k,
            content: u64::from(k),
        };
        sampler.picture(0, seconds(f64::from(k) / 30.0), image);
    };
    for k in 0..300 {
        show(&mut sampler, k);
    }
    sampler.begin(seconds(10.0));
    show(&mut sampler, 300);
    let (_, counts) = sampler.counts().next().unwrap();
    assert_eq!((counts.received, counts.overflowed), (1, 0));
}

#[test]
fn with_motion_the_first_sample_is_when_the_arm_begins_to_follow() {
    let rule = SamplingRule {
        begin_with_motion: true,
        ..RULE
    };
    let mut sampler = RecordingSampler::new(rule, ["top".to_owned()]);
    sampler.begin(seconds(0.0));
    let mut ticks = Vec::new();
    for step in 0..40_u32 {
        let now = f64::from(step) * 0.05;
        let image = CameraSample {
            payload: step,
            content: u64::from(step),
        };
        sampler.picture(0, seconds(now), image);
        sampler.arm(
            seconds(now),
            ArmState {
                following: (20..30).contains(&step),
                ..state(now)
            },
        );
        assert_eq!(sampler.is_awaiting(), step < 20);
        ticks.extend(std::iter::from_fn(|| sampler.next(seconds(now))));
    }
    // an arm that rests later on is part of the task
    assert_eq!(
        ticks.iter().map(|tick| tick.pictures[0]).collect::<Vec<_>>(),
        (20..40).step_by(2).collect::<Vec<_>>()
    );
    assert_eq!(ticks[0].time, seconds(1.0));
    assert_eq!(sampler.refusal(), None);
}

#[test]
fn an_episode_that_ends_before_any_motion_has_no_samples() {
    let rule = SamplingRule {
        begin_with_motion: true,
        ..RULE
    };
    let mut sampler = RecordingSampler::<u32>::new(rule, ["top".to_owned()]);
    sampler.begin(seconds(0.0));
    assert!(sampler.is_sampling());
    sampler.end(seconds(1.0));
    assert!(!sampler.is_sampling() && sampler.next(seconds(1.0)).is_none() && sampler.samples() == 0);
}

#[test]
fn a_stream_that_has_not_come_or_comes_no_more_is_silent() {
    let mut sampler = RecordingSampler::new(RULE, ["top".to_owned(), "wrist".to_owned()]);
    assert_eq!(sampler.silent(seconds(0.0)), ["top", "wrist", "arm"]);
    let image = CameraSample { payload: 0, content: 0 };
    sampler.picture(1, seconds(0.0), image);
    sampler.arm(seconds(1.5), state(1.5));
    assert_eq!(sampler.silent(seconds(0.5)), ["top"]);
    assert_eq!(sampler.silent(seconds(2.0)), ["top", "wrist"]);
}
