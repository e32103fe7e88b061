//! Fine-tuning beside the policy: takes goals, runs `thinkvla train` as a child process, and publishes its progress.
//!
//! ```text
//! goal ─► order ─► budget (does it fit?) ─► journal in OUT ─► child: thinkvla train OUT/train.yaml --resume
//!                                              │                  │ metrics.jsonl
//!              started again: goes on ◄────────┘                  ▼
//!                                        bench ─► feedback, ~/status, /diagnostics ─► result
//! ```
//!
//! The child is a process of its own, so that a crash of training, or a kill for lack of memory, does not end the node.

mod action;
mod bench;
mod budget;
mod child;
mod ear;
mod journal;
mod node;
mod order;
mod progress;
mod report;
mod settings;
mod shown;
mod work;

pub use node::FineTuneNode;
