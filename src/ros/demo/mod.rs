//! Harness that runs whole systems as child processes and judges them over ROS.
//!
//! * [`surroundings`]: an isolated ROS domain
//! * [`children`]: child processes
//! * [`observer`], [`observed`]: subscriptions and service clients of the observer, and the messages it has received
//! * [`session`]: observer and child processes together, and the nodes of the simulated robot
//! * [`episode`]: one episode of the policy or of the scripted expert, and its measurements
//! * [`tour`], [`picture`], `moving`: the demo; [`rollout`]: the expert or a policy on many seeds
//! * [`recorder`]: record_node; [`soak`]: load test of the recorder; [`tuner`]: finetune_node
//! * [`judged`]: a policy on a robot that runs already, judged by a person
//! * [`latency`]: latency measurements
//! * [`source`], [`frames`] played by [`replay`]: constant inputs

pub mod children;
pub mod episode;
pub mod error;
pub mod frames;
pub mod judged;
pub mod latency;
#[cfg(feature = "sim")]
pub mod moving;
pub mod observed;
pub mod observer;
pub mod picture;
pub mod recorder;
pub mod replay;
pub mod rollout;
pub mod session;
pub mod soak;
pub mod source;
pub mod surroundings;
pub mod tour;
pub mod tuner;
