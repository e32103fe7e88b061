//! Benchmarks: the speed of the network on this machine, and the lower bound of its time.
//!
//! * [`workload`]: the network that is timed
//! * [`work`]: its matrix products
//! * [`roofline`]: the time this machine needs for these products alone

pub mod roofline;
pub mod work;
pub mod workload;
