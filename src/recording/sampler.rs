//! Streams with stamps in, samples at a steady rate out; what is late, missing or frozen is counted.

use std::collections::VecDeque;

use super::steps::Commanded;
use crate::control::time::Time;
use crate::control::types::{Joints, Pose};

/// Values of a stream that wait to be sampled. A camera of 30 Hz has two seconds before its oldest are lost.
const WAITING: usize = 64;
/// Joint travel that no camera on or above the arm can miss [rad].
const VISIBLE_TRAVEL_RAD: f64 = 0.05;

/// How streams are sampled, and what is no longer data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Samples a second.
    pub fps: f64,
    /// A picture may be this far from the sample's time [s].
    pub slop_s: f64,
    /// How long a sample waits for a late stream [s].
    pub wait_s: f64,
    /// A picture that repeats for longer while the arm moves is of a frozen camera [s].
    pub frozen_s: f64,
    /// Share of samples of which a stream may be missing.
    pub missing_share: f64,
    /// Longest run of samples of which a stream may be missing [s].
    pub gap_s: f64,
}

/// What the arm does at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmState {
    /// Measured joints [rad].
    pub joints: Joints,
    /// Measured `base_from_tool` [m].
    pub tool: Pose,
    /// What was commanded.
    pub commanded: Commanded,
}

/// A picture of a camera, still undecoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Shot<P> {
    /// The picture.
    pub payload: P,
    /// Fingerprint of its content.
    pub content: u64,
}

/// One moment: a picture of each camera, and the arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick<P> {
    /// Its time.
    pub time: Time,
    /// One picture of each camera.
    pub pictures: Vec<P>,
    /// The arm.
    pub arm: ArmState,
}

/// What was counted of a stream since the episode began.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Values that came.
    pub received: u64,
    /// Samples for which none was near enough.
    pub missing: u64,
    /// Longest run of them.
    pub longest_gap: u64,
    /// Samples with the picture of the sample before.
    pub repeated: u64,
    /// Samples in which a repeated picture was that of a frozen camera.
    pub frozen: u64,
    /// Values that were thrown away because too many waited: whoever takes the samples is too slow.
    pub overflowed: u64,
    gap: u64,
}

/// Samples cameras and arm.
#[derive(Debug)]
pub struct Sampler<P> {
    rule: Rule,
    cameras: Vec<Camera<P>>,
    arm: VecDeque<(Time, ArmState)>,
    arm_counts: Counts,
    next: Option<Time>,
    begun: Time,
    /// The last moment to be sampled, once it is known.
    until: Option<Time>,
    samples: u64,
    /// Samples without arm or without any picture of a camera.
    lost: u64,
}

#[derive(Debug)]
struct Camera<P> {
    name: String,
    waiting: VecDeque<(Time, Shot<P>)>,
    counts: Counts,
    shown: Option<Shown>,
}

/// The content shown last, since when, and where the arm was then.
#[derive(Debug, Clone, Copy)]
struct Shown {
    content: u64,
    since: Time,
    joints: Joints,
}

impl<P: Clone> Sampler<P> {
    /// Of these cameras.
    pub fn new(rule: Rule, cameras: impl IntoIterator<Item = String>) -> Self {
        let camera = |name| Camera {
            name,
            waiting: VecDeque::new(),
            counts: Counts::default(),
            shown: None,
        };
        Self {
            rule,
            cameras: cameras.into_iter().map(camera).collect(),
            arm: VecDeque::new(),
            arm_counts: Counts::default(),
            next: None,
            begun: Time::default(),
            until: None,
            samples: 0,
            lost: 0,
        }
    }

    /// Samples from `now` on.
    pub fn begin(&mut self, now: Time) {
        self.next = Some(now);
        self.begun = now;
        self.until = None;
        (self.samples, self.lost) = (0, 0);
        self.arm_counts = Counts::default();
        for camera in &mut self.cameras {
            (camera.counts, camera.shown) = (Counts::default(), None);
        }
    }

    /// Samples up to `now`, and then no more: what has come is still to be taken.
    pub fn end(&mut self, now: Time) {
        self.until = Some(now);
    }

    /// Samples no more, from now on.
    pub fn stop(&mut self) {
        self.next = None;
    }

    /// Whether it samples.
    pub fn is_sampling(&self) -> bool {
        self.next.is_some()
    }

    /// Takes a picture of a camera, in the order given at first. Stamps that do not grow are of no use and dropped.
    pub fn picture(&mut self, camera: usize, stamp: Time, shot: Shot<P>) {
        let Some(camera) = self.cameras.get_mut(camera) else {
            return;
        };
        camera.counts.received += 1;
        camera.counts.overflowed += u64::from(put(&mut camera.waiting, stamp, shot) && self.next.is_some());
    }

    /// Takes what the arm does.
    pub fn arm(&mut self, stamp: Time, state: ArmState) {
        self.arm_counts.received += 1;
        self.arm_counts.overflowed += u64::from(put(&mut self.arm, stamp, state) && self.next.is_some());
    }

    /// The next sample, once every stream has come past it or has kept it waiting too long. A sample without any
    /// picture of a camera, or without the arm, is lost and counted.
    pub fn next(&mut self, now: Time) -> Option<Tick<P>> {
        loop {
            let tick = self.next?;
            if self.until.is_some_and(|until| tick > until) {
                self.next = None;
                return None;
            }
            let overdue = now.seconds_since(tick) > self.rule.wait_s;
            let past = |stamp: Option<Time>| stamp.is_some_and(|stamp| stamp >= tick);
            let all_past = past(self.arm.back().map(|(stamp, _)| *stamp))
                && self
                    .cameras
                    .iter()
                    .all(|camera| past(camera.waiting.back().map(|(stamp, _)| *stamp)));
            if !all_past && !overdue {
                return None;
            }
            self.samples += 1;
            self.next = Some(self.begun.offset_secs(self.samples as f64 / self.rule.fps));
            match self.sample(tick) {
                Some(sample) => return Some(sample),
                None => self.lost += 1,
            }
        }
    }

    fn sample(&mut self, tick: Time) -> Option<Tick<P>> {
        let arm = at(&mut self.arm, tick, self.rule.slop_s);
        self.arm_counts.note(arm.is_none());
        let joints = arm.map(|arm| arm.joints);
        let rule = self.rule;
        let pictures: Vec<_> = self
            .cameras
            .iter_mut()
            .map(|camera| camera.sample(tick, &rule, joints))
            .collect();
        Some(Tick {
            time: tick,
            pictures: pictures.into_iter().collect::<Option<_>>()?,
            arm: arm?,
        })
    }

    /// Samples since the beginning, lost ones included.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// What was counted of each stream: the cameras by their names, then `arm`.
    pub fn counts(&self) -> impl Iterator<Item = (&str, Counts)> {
        let cameras = self.cameras.iter().map(|camera| (camera.name.as_str(), camera.counts));
        cameras.chain([("arm", self.arm_counts)])
    }

    /// Why what was sampled is no data, if it is none.
    pub fn refusal(&self) -> Option<String> {
        let Rule {
            fps,
            missing_share,
            gap_s,
            frozen_s,
            ..
        } = self.rule;
        let of_stream = self.counts().find_map(|(stream, counts)| {
            if counts.frozen > 0 {
                return Some(format!(
                    "{stream}: {} samples with one picture for more than {frozen_s} s while the arm moved: the camera is frozen",
                    counts.frozen
                ));
            }
            let allowed = (missing_share * self.samples as f64).floor() as u64;
            if counts.missing > allowed {
                return Some(format!(
                    "{stream}: expected at most {allowed} of {} samples without it ({:.1} %), found {}",
                    self.samples,
                    100.0 * missing_share,
                    counts.missing
                ));
            }
            let gap = counts.longest_gap as f64 / fps;
            (gap > gap_s).then(|| format!("{stream}: expected gaps of at most {gap_s} s, found one of {gap:.2} s"))
        });
        // A row that was lost would leave its neighbour with the motion of two.
        let of_rows = || {
            (self.lost > 0).then(|| {
                format!(
                    "{} of {} samples lack arm or camera altogether",
                    self.lost, self.samples
                )
            })
        };
        of_stream.or_else(of_rows)
    }
}

impl<P: Clone> Camera<P> {
    /// The picture nearest to the sample. One that is too far is used, so that rows keep their rhythm, and counted.
    fn sample(&mut self, tick: Time, rule: &Rule, joints: Option<Joints>) -> Option<P> {
        while let Some((second, _)) = self.waiting.get(1) {
            let first = self.waiting.front().map_or(*second, |(first, _)| *first);
            if distance(*second, tick) > distance(first, tick) {
                break;
            }
            self.waiting.pop_front();
        }
        let Some((stamp, shot)) = self.waiting.front() else {
            self.counts.note(true);
            return None;
        };
        self.counts.note(distance(*stamp, tick) > rule.slop_s);
        let same = self.shown.filter(|shown| shown.content == shot.content);
        match (same, joints) {
            (Some(shown), Some(joints)) => {
                self.counts.repeated += 1;
                let long = tick.seconds_since(shown.since) > rule.frozen_s;
                if long && (joints - shown.joints).amax() > VISIBLE_TRAVEL_RAD {
                    self.counts.frozen += 1;
                }
            }
            (None, Some(joints)) => {
                self.shown = Some(Shown {
                    content: shot.content,
                    since: tick,
                    joints,
                });
            }
            (_, None) => (),
        }
        Some(shot.payload.clone())
    }
}

impl Counts {
    fn note(&mut self, missing: bool) {
        self.missing += u64::from(missing);
        self.gap = if missing { self.gap + 1 } else { 0 };
        self.longest_gap = self.longest_gap.max(self.gap);
    }
}

/// Whether the oldest had to make room.
fn put<T>(waiting: &mut VecDeque<(Time, T)>, stamp: Time, value: T) -> bool {
    match waiting.back() {
        // A clock that was set back: what came before is of another time.
        Some((last, _)) if last.seconds_since(stamp) > 1.0 => waiting.clear(),
        Some((last, _)) if *last >= stamp => return false,
        _ => (),
    }
    let full = waiting.len() == WAITING;
    if full {
        waiting.pop_front();
    }
    waiting.push_back((stamp, value));
    full
}

fn distance(a: Time, b: Time) -> f64 {
    a.seconds_since(b).abs()
}

/// The arm at a moment, between the two states around it.
fn at(states: &mut VecDeque<(Time, ArmState)>, tick: Time, slop_s: f64) -> Option<ArmState> {
    while states.get(1).is_some_and(|(second, _)| *second <= tick) {
        states.pop_front();
    }
    let (start, from) = states.front()?;
    match states.get(1) {
        Some((end, to)) if *start <= tick => {
            let share = tick.seconds_since(*start) / end.seconds_since(*start);
            Some(between(from, to, share))
        }
        _ => (distance(*start, tick) <= slop_s).then_some(*from),
    }
}

fn between(from: &ArmState, to: &ArmState, share: f64) -> ArmState {
    let pose = |from: &Pose, to: &Pose| from.try_lerp_slerp(to, share, 1e-9).unwrap_or(*to);
    ArmState {
        joints: from.joints.lerp(&to.joints, share),
        tool: pose(&from.tool, &to.tool),
        commanded: Commanded {
            joints: from.commanded.joints.lerp(&to.commanded.joints, share),
            tool: pose(&from.commanded.tool, &to.commanded.tool),
            gripper: from.commanded.gripper,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        fps: 10.0,
        slop_s: 0.03,
        wait_s: 0.2,
        frozen_s: 0.35,
        missing_share: 0.1,
        gap_s: 0.25,
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
        }
    }

    /// Two seconds of a camera of 30 Hz and an arm of 20 Hz, through a filter of pictures by number.
    fn run(picture: impl Fn(u32) -> Option<u64>) -> (Sampler<u32>, Vec<Tick<u32>>) {
        let mut sampler = Sampler::new(RULE, ["top".to_owned()]);
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
                    Shot {
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
        let mut sampler: Sampler<u32> = Sampler::new(RULE, ["top".to_owned()]);
        sampler.begin(seconds(0.0));
        for k in 0..30_u32 {
            sampler.picture(
                0,
                seconds(f64::from(k) / 30.0),
                Shot {
                    payload: k,
                    content: u64::from(k),
                },
            );
            assert_eq!(sampler.next(seconds(f64::from(k) / 30.0)), None);
        }
        assert!(sampler.refusal().unwrap().starts_with("arm: "));
    }
}
