//! The recorder: writes camera images and arm state as episodes of a dataset. It sends nothing to the arm.

mod action;
mod error;
mod node;
mod report;
mod services;
mod session;
mod settings;
mod streams;

pub use node::RecordNode;
