//! Everything that uses rclrs: node infrastructure, and the nodes built on it.
//!
//! * [`runtime`]: start, spinning and shutdown of a node
//! * [`parameters`], [`qos`], [`topics`], [`graph`]: parameters, topics and the ROS graph
//! * [`convert`], [`convert_chunk`], [`images`], [`time`], [`markers`]: message conversion
//! * [`heartbeat`], [`lease`], [`lifecycle`], [`diagnostics`]: interfaces of a managed source of motion
//! * [`harness`]: harness that runs whole systems as child processes and judges them
//! * [`arm`], [`policy`], [`record`], [`teleop`]: the nodes
//! * `finetune` (feature `torch`): training beside the policy
//! * `sim` (feature `sim`): the simulated robot
//!
//! No other module uses rclrs, so that r2r remains a possible replacement.

pub mod arm;
pub mod convert;
pub mod convert_chunk;
pub mod diagnostics;
#[cfg(feature = "torch")]
pub mod finetune;
pub mod graph;
pub mod harness;
pub mod heartbeat;
pub mod images;
pub mod instruction;
pub mod lease;
pub mod lifecycle;
mod lock;
pub mod markers;
pub mod moves;
pub mod parameters;
pub mod policy;
mod process;
pub mod qos;
pub mod record;
mod rosout;
pub mod runtime;
pub mod share;
mod signals;
#[cfg(feature = "sim")]
pub mod sim;
pub mod teleop;
pub mod time;
pub mod topics;
mod unheard;
