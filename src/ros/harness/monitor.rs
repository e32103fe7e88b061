//! Observer node: subscribes to the public topics and calls the public services.

use std::time::{Duration, Instant};

use nalgebra::Vector3;
use rclrs::rosidl_runtime_rs::Service;
use rclrs::{Client, IntoPrimitiveOptions as _, Node, Subscription};
use ros_env::lifecycle_msgs::msg::Transition;
use ros_env::lifecycle_msgs::srv::{ChangeState, ChangeState_Request, ChangeState_Response};
use ros_env::sensor_msgs::msg::rmw::Image;
use ros_env::std_srvs::srv::{SetBool, SetBool_Request, SetBool_Response, Trigger, Trigger_Request, Trigger_Response};
use ros_env::thinkvla::msg::{ActionChunk, ArmStatus, EpisodeStatus, GateEvent, PlannedPath};
use ros_env::thinkvla::srv::{ResetEpisode, ResetEpisode_Request, ResetEpisode_Response};

use crate::camera::rgb::RgbImage;
use crate::ros::convert::image::{stamp_of, view};
use crate::ros::node::time::{NodeClock, from_message};
use crate::ros::node::{qos, topics};

use super::error::HarnessError;
use super::observations::{CapturedFrame, ChunkSeen, EventCount, Observations, PathSeen};

/// Names of the observed cameras.
pub const CAMERAS: [&str; 2] = ["top", "wrist"];
/// Longest wait for the response of a quick service.
pub(super) const ANSWER: Duration = Duration::from_secs(20);
/// Longest wait for a checkpoint to be loaded and warmed up.
pub(super) const LOAD: Duration = Duration::from_secs(120);

/// Subscriptions and service clients of the observer.
pub struct Monitor {
    /// Received messages.
    pub observed: Observations,
    tokio: tokio::runtime::Handle,
    set_armed: Client<SetBool>,
    reset_fault: Client<Trigger>,
    reset_episode: Client<ResetEpisode>,
    change_state: Client<ChangeState>,
    _subscriptions: Vec<Box<dyn Send + Sync>>,
}

impl Monitor {
    /// Subscribes to everything that a run is judged by.
    ///
    /// # Errors
    /// When ROS refuses a subscription or client.
    pub fn new(node: &Node, tokio: tokio::runtime::Handle) -> Result<Self, HarnessError> {
        let observed = Observations::default();
        let mut subscriptions: Vec<Box<dyn Send + Sync>> = vec![
            Box::new(statuses(node, &observed)?),
            Box::new(episodes(node, &observed)?),
            Box::new(events(node, &observed)?),
            Box::new(chunks(node, &observed)?),
            Box::new(planned(node, &observed)?),
        ];
        for camera in CAMERAS {
            subscriptions.push(Box::new(images(node, &observed, camera)?));
        }
        Ok(Self {
            observed,
            tokio,
            set_armed: node.create_client::<SetBool>("arm_node/set_armed")?,
            reset_fault: node.create_client::<Trigger>("arm_node/reset_fault")?,
            reset_episode: node.create_client::<ResetEpisode>("sim_node/reset_episode")?,
            change_state: node.create_client::<ChangeState>("policy_node/change_state")?,
            _subscriptions: subscriptions,
        })
    }

    /// Arms or disarms the arm.
    ///
    /// # Errors
    /// When the arm node does not answer or refuses.
    pub fn set_armed(&self, armed: bool, check: impl Fn() -> Result<(), HarnessError>) -> Result<(), HarnessError> {
        let request = SetBool_Request { data: armed };
        let answer: SetBool_Response = self.ask(&self.set_armed, request, ANSWER, check)?;
        accepted(self.set_armed.service_name(), answer.success, answer.message)
    }

    /// Clears a latched stop or fault.
    ///
    /// # Errors
    /// When the arm node does not answer or refuses.
    pub fn reset_fault(&self, check: impl Fn() -> Result<(), HarnessError>) -> Result<(), HarnessError> {
        let answer: Trigger_Response = self.ask(&self.reset_fault, Trigger_Request::default(), ANSWER, check)?;
        accepted(self.reset_fault.service_name(), answer.success, answer.message)
    }

    /// Resets the simulated task; returns its instruction.
    ///
    /// # Errors
    /// When the simulator does not answer or refuses.
    pub fn reset_episode(
        &self,
        request: ResetEpisode_Request,
        check: impl Fn() -> Result<(), HarnessError>,
    ) -> Result<String, HarnessError> {
        let answer: ResetEpisode_Response = self.ask(&self.reset_episode, request, ANSWER, check)?;
        accepted(self.reset_episode.service_name(), answer.ok, answer.message)?;
        Ok(answer.instruction)
    }

    /// Requests a lifecycle transition of the policy node.
    ///
    /// # Errors
    /// When the policy node does not answer or refuses.
    pub fn change_policy(
        &self,
        transition: u8,
        check: impl Fn() -> Result<(), HarnessError>,
    ) -> Result<(), HarnessError> {
        let request = ChangeState_Request {
            transition: Transition {
                id: transition,
                label: String::new(),
            },
        };
        let answer: ChangeState_Response = self.ask(&self.change_state, request, LOAD, check)?;
        let message = format!("transition {transition} failed");
        accepted(self.change_state.service_name(), answer.success, message)
    }

    /// Calls a service, and runs `check` while it waits.
    pub(super) fn ask<S: Service>(
        &self,
        client: &Client<S>,
        request: S::Request,
        limit: Duration,
        check: impl Fn() -> Result<(), HarnessError>,
    ) -> Result<S::Response, HarnessError>
    where
        S::Response: Unpin,
    {
        let silent = |seen: &str| HarnessError::Silent {
            what: format!("an answer of {}", client.service_name()),
            limit,
            seen: seen.to_owned(),
        };
        let deadline = Instant::now() + limit;
        while !client.service_is_ready()? {
            if Instant::now() > deadline {
                return Err(silent("no such service"));
            }
            std::thread::sleep(Duration::from_millis(20));
            check()?;
        }
        let mut promise: rclrs::Promise<S::Response> = client.call(request)?;
        loop {
            let attempt = async { tokio::time::timeout(Duration::from_millis(100), &mut promise).await };
            match self.tokio.block_on(attempt) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(_)) => return Err(silent("the request was dropped")),
                Err(_) if Instant::now() > deadline => return Err(silent("the service exists and does not answer")),
                Err(_) => check()?,
            }
        }
    }
}

pub(super) fn accepted(service: String, yes: bool, message: String) -> Result<(), HarnessError> {
    if yes {
        return Ok(());
    }
    Err(HarnessError::Refused { service, message })
}

fn statuses(node: &Node, observed: &Observations) -> Result<Subscription<ArmStatus>, HarnessError> {
    let observed = observed.clone();
    let subscription = node.create_subscription::<ArmStatus, _>(
        topics::ARM_STATUS.name.qos(qos::display()),
        move |status: ArmStatus| {
            observed.update(|seen| {
                seen.statuses.push(status.clone());
                seen.status = Some(status);
            });
        },
    )?;
    Ok(subscription)
}

fn episodes(node: &Node, observed: &Observations) -> Result<Subscription<EpisodeStatus>, HarnessError> {
    let observed = observed.clone();
    let subscription = node.create_subscription::<EpisodeStatus, _>(
        topics::EPISODE_STATUS.name.qos(qos::display()),
        move |episode: EpisodeStatus| observed.update(|seen| seen.episode = Some(episode)),
    )?;
    Ok(subscription)
}

fn events(node: &Node, observed: &Observations) -> Result<Subscription<GateEvent>, HarnessError> {
    let observed = observed.clone();
    let subscription = node.create_subscription::<GateEvent, _>(
        topics::GATE_EVENTS.name.qos(qos::events()),
        move |event: GateEvent| {
            let kind = match event.kind {
                GateEvent::CLAMPED => "clamped",
                GateEvent::REFUSED => "refused",
                GateEvent::HELD => "held",
                GateEvent::STOPPED => "stopped",
                _ => "fault",
            };
            let stamp = from_message(&event.header.stamp);
            observed.update(|seen| {
                if event.kind == GateEvent::HELD {
                    seen.holds.push(stamp);
                }
                let count = seen
                    .events
                    .entry((kind, event.check.clone()))
                    .or_insert_with(|| EventCount {
                        kind: kind.to_owned(),
                        check: event.check,
                        times: 0,
                        first: event.message,
                    });
                count.times += 1 + u64::from(event.repeated);
            });
        },
    )?;
    Ok(subscription)
}

fn chunks(node: &Node, observed: &Observations) -> Result<Subscription<ActionChunk>, HarnessError> {
    let observed = observed.clone();
    let clock = NodeClock::of(node);
    let subscription = node.create_subscription::<ActionChunk, _>(
        topics::CHUNK.name.qos(qos::events()),
        move |chunk: ActionChunk| {
            let received = clock.now();
            let chunk = ChunkSeen {
                source: chunk.source,
                plan_id: chunk.plan_id,
                observed: from_message(&chunk.observation_stamp),
                published: from_message(&chunk.header.stamp),
                received,
                preprocess_ms: f64::from(chunk.preprocess_ms),
                inference_ms: f64::from(chunk.inference_ms),
                observation_age_ms: f64::from(chunk.observation_age_ms),
            };
            observed.update(|seen| seen.chunks.push(chunk));
        },
    )?;
    Ok(subscription)
}

fn planned(node: &Node, observed: &Observations) -> Result<Subscription<PlannedPath>, HarnessError> {
    let observed = observed.clone();
    let subscription = node.create_subscription::<PlannedPath, _>(
        topics::PLANNED_PATH.name.qos(qos::display()),
        move |path: PlannedPath| {
            let points = path.poses.iter().map(|pose| &pose.position);
            let planned = PathSeen {
                stamp: from_message(&path.header.stamp),
                points: points.map(|at| Vector3::new(at.x, at.y, at.z)).collect(),
                done: path.done as usize,
            };
            observed.update(|seen| seen.planned.push(planned));
        },
    )?;
    Ok(subscription)
}

/// Subscribes with the RMW-native image type: the idiomatic one converts element by element.
fn images(node: &Node, observed: &Observations, camera: &'static str) -> Result<Subscription<Image>, HarnessError> {
    let observed = observed.clone();
    let clock = NodeClock::of(node);
    let topic = topics::image(camera);
    let subscription =
        node.create_subscription::<Image, _>(topic.as_str().qos(qos::images()), move |image: Image| {
            let received = clock.now();
            let stamp = stamp_of(&image.header.stamp);
            let Ok(view) = view(&image) else { return };
            observed.update(|seen| {
                *seen.images.entry(camera.to_owned()).or_default() += 1;
                seen.image_hops_ms.push(received.seconds_since(stamp) * 1e3);
                if stamp < seen.since {
                    return;
                }
                seen.frame_logs.entry(camera.to_owned()).or_default().offer(stamp, || {
                    let mut rgb = RgbImage::default();
                    view.to_rgb(&mut rgb);
                    CapturedFrame {
                        stamp,
                        width: rgb.width(),
                        height: rgb.height(),
                        rgb: rgb.data().to_vec(),
                    }
                });
            });
        })?;
    Ok(subscription)
}
