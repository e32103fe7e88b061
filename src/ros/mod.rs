//! Everything that uses rclrs: node infrastructure, and the nodes built on it.
//!
//! * [`node`]: what every node is made of: process, lifecycle, parameters, topics
//! * [`convert`]: conversion between types of this package and messages
//! * [`client`]: clients of the arm node
//! * [`subscribe`]: subscriptions that several nodes have
//! * [`harness`]: harness that runs whole systems as child processes and judges them
//! * [`arm`], [`policy`], [`record`], [`teleop`]: the nodes
//! * `finetune` (feature `torch`): training beside the policy
//! * `sim` (feature `sim`): the simulated robot
//!
//! No other module uses rclrs, so that r2r remains a possible replacement.

pub mod arm;
pub mod client;
pub mod convert;
#[cfg(feature = "torch")]
pub mod finetune;
pub mod harness;
pub mod node;
pub mod policy;
pub mod record;
#[cfg(feature = "sim")]
pub mod sim;
pub mod subscribe;
pub mod teleop;
