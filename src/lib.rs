//! thinkvla: a vision-language-action policy on a Realman RM75, over ROS 2.
//!
//! ```text
//! cameras ─► camera ─► model ─► chunk ─► control (executor ─► gate ─► realman) ─► arm or sim
//! ```
//!
//! * [`contract`]: what recording, training and inference must agree on
//! * [`camera`]: frames in, network input out
//! * [`control`]: chunks in, safe joint commands out
//! * [`operator`]: a person's hand becomes action chunks
//! * [`parent`]: programs that end with the one that started them
//! * [`random`]: what is drawn from seeds
//! * [`dataset`]: episodes on disk, and their videos
//! * `model` (feature `torch`): the network and its checkpoint
//! * `torch_ext` (feature `torch`): what libtorch can do and tch does not offer
//! * `sim` (feature `sim`): the MuJoCo table-top that stands in for arm, cameras and driver
//! * `ros` (feature `ros`): everything that names rclrs
//! * `training` (feature `torch`): how the network learns
//! * [`eval`]: policies in closed loop and against recorded rows, contact sheets and reports
//! * [`files`]: regular files of a bounded size, and nothing else
//! * [`writer_lock`]: one writer at a time

pub mod camera;
pub mod contract;
pub mod control;
pub mod dataset;
pub mod eval;
pub mod files;
#[cfg(feature = "torch")]
pub mod model;
pub mod operator;
#[cfg(any(feature = "sim", feature = "torch"))]
pub mod parallel;
pub mod parent;
pub mod random;
pub mod recording;
#[cfg(feature = "ros")]
pub mod ros;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "torch")]
mod torch_ext;
#[cfg(feature = "torch")]
pub mod training;
pub mod writer_lock;
