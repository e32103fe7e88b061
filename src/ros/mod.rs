//! Everything that names rclrs: node plumbing, and the nodes built on it.
//!
//! * [`runtime`]: one node's life from signal handlers to the last hook
//! * [`parameters`], [`qos`], [`topics`], [`graph`]: what a node declares and sees
//! * [`convert`], [`convert_chunk`], [`images`], [`time`], [`markers`]: messages in and out
//! * [`heartbeat`], [`lease`], [`lifecycle`], [`diagnostics`]: what a managed source of motion shows of itself
//! * [`demo`]: whole systems as child processes, run and judged from outside
//! * [`arm`], [`policy`], [`record`], [`teleop`]: the nodes
//! * `finetune` (feature `torch`): training beside the policy
//! * `sim` (feature `sim`): the simulated robot
//!
//! Keeping rclrs behind this module keeps r2r a possible fallback.

pub mod arm;
pub mod convert;
pub mod convert_chunk;
pub mod demo;
pub mod diagnostics;
#[cfg(feature = "torch")]
pub mod finetune;
pub mod graph;
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
