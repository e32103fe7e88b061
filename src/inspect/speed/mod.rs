//! Benchmarks: the speed of the network on this machine, and the lower bound of its time.
//!
//! * [`workload`]: the network that is timed
//! * [`pass_products`]: its matrix products
//! * [`roofline`]: the time this machine needs for these products alone

pub mod pass_products;
pub mod roofline;
pub mod workload;
