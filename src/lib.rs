//! thinkvla: a vision-language-action policy on a Realman RM75, over ROS 2.
//!
//! ```text
//! cameras ─► camera ─► model ─► chunk ─► supervisor (executor ─► gate ─► realman) ─► arm or sim
//! ```
//!
//! * [`contract`]: facts that recording, training and inference must agree on
//! * [`camera`]: from camera frames to network input
//! * [`types`]: joints, poses and times, used by all of them
//! * [`control`]: from action chunks to safe joint commands
//! * [`supervisor`]: who may command the arm, in which mode, and with which signs of life
//! * [`realman`]: from joint commands to the messages and topics of Realman's driver
//! * [`teleop`]: teleoperation, from input devices to action chunks
//! * [`child_process`]: child processes that end with their parent
//! * [`random`]: distributions drawn from seeded randomness
//! * [`dataset`]: episodes on disk, and their videos
//! * [`recording`]: from a robot's state, images and commands to rows of a dataset
//! * `model` (feature `torch`): the network and its checkpoint
//! * `torch_ext` (feature `torch`): libtorch functions that tch does not offer
//! * `sim` (feature `sim`): the MuJoCo table-top that stands in for arm, cameras and driver
//! * `ros` (feature `ros`): the ROS 2 nodes and everything else that uses rclrs
//! * `training` (feature `torch`): training of the network
//! * `inspect` (feature `torch`): checks, parity and speed of a checkpoint
//! * [`eval`]: policies in closed loop and against recorded rows, and reports
//! * [`figures`]: contact sheets, and plots of datasets and training
//! * [`stats`]: percentiles and success rates
//! * `parallel` (features `sim`, `torch`): work of several threads with results in order
//! * [`files`]: reading of regular files up to a size limit
//! * [`writer_lock`]: a lock that admits one writer to a folder at a time

pub mod camera;
pub mod child_process;
pub mod contract;
pub mod control;
pub mod dataset;
pub mod eval;
pub mod figures;
pub mod files;
#[cfg(feature = "torch")]
pub mod inspect;
#[cfg(feature = "torch")]
pub mod model;
#[cfg(any(feature = "sim", feature = "torch"))]
pub mod parallel;
pub mod random;
pub mod realman;
pub mod recording;
#[cfg(feature = "ros")]
pub mod ros;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stats;
pub mod supervisor;
pub mod teleop;
#[cfg(feature = "torch")]
mod torch_ext;
#[cfg(feature = "torch")]
pub mod training;
pub mod types;
pub mod writer_lock;
