//! Harness that runs whole systems as child processes and judges them over ROS.
//!
//! * [`ros_domain`]: an isolated ROS domain
//! * [`processes`]: child processes
//! * [`monitor`], [`observations`]: subscriptions and service clients of the observer, and the messages it has received
//! * [`session`]: observer and child processes together, and the nodes of the simulated robot
//! * [`episode`]: one episode of the policy or of the scripted expert, and its measurements
//! * [`demo`], [`picture`], `moving`: the demo; [`rollout`]: the expert or a policy on many seeds
//! * [`recorder`]: record_node; [`soak`]: load test of the recorder; [`finetune_run`]: finetune_node
//! * [`human_eval`]: a policy on a robot that runs already, judged by a person
//! * [`latency`]: latency measurements
//! * [`chunk_source`], [`frames`] played by [`replay`]: constant inputs

#[cfg(feature = "sim")]
pub mod animation;
pub mod chunk_source;
pub mod demo;
pub mod episode;
pub mod error;
pub mod finetune_run;
pub mod frames;
pub mod human_eval;
pub mod latency;
pub mod monitor;
pub mod observations;
pub mod picture;
pub mod processes;
pub mod recorder;
pub mod replay;
pub mod rollout;
pub mod ros_domain;
pub mod session;
pub mod soak;
