//! The `thinkvla` command line.
fn main() {}
