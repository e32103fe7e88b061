//! How fast the network runs on this machine, and how fast the machine could run it.
//!
//! * [`workload`]: what is timed
//! * [`work`]: the matrix products in it
//! * [`roofline`]: what this machine needs for them alone

pub mod roofline;
pub mod work;
pub mod workload;
