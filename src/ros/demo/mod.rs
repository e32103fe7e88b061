//! Whole systems as child processes, run and judged from outside over ROS.
//!
//! * [`surroundings`]: a ROS domain of its own
//! * [`children`]: nodes started, watched, ended
//! * [`observer`], [`observed`]: what is seen and asked over ROS
//! * [`session`]: the two together, and the nodes of the simulated robot
//! * [`episode`]: one episode of the policy or of the scripted expert, and its figures
//! * [`tour`], [`picture`], `moving`: the demo; [`rollout`]: the expert or a policy on many seeds
//! * [`recorder`]: record_node beside them; [`soak`]: whether it keeps up; [`tuner`]: finetune_node beside them
//! * [`judged`]: a policy on a robot that runs already, judged by a person
//! * [`latency`]: how long things take
//! * [`source`], [`frames`] shown by [`replay`]: steady inputs

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
