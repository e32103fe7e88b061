//! What every node is made of.
//!
//! * [`runtime`]: start, spinning and shutdown of a node
//! * [`lifecycle`]: the standard lifecycle services
//! * [`parameters`]: typed parameters
//! * [`topics`] and [`qos`]: names of topics and their quality of service
//! * [`graph`]: the ROS graph
//! * [`diagnostics`]: publisher of `/diagnostics`
//! * [`time`]: ROS time and the clocks of a node
//! * [`services`]: handles and responses of services
//! * [`share`]: installed files

pub mod diagnostics;
pub mod graph;
pub mod lifecycle;
pub(in crate::ros) mod lock;
pub mod parameters;
pub(in crate::ros) mod process;
pub mod qos;
pub(in crate::ros) mod rosout;
pub mod runtime;
pub mod services;
pub mod share;
pub(in crate::ros) mod signals;
pub mod time;
pub mod topics;
