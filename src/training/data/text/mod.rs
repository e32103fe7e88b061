//! Questions and answers on their way into training.
//!
//! * [`rows`]: what files hold
//! * [`dialogue`]: what a row means

pub mod dialogue;
pub mod rows;
