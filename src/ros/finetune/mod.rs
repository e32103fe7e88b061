//! Fine-tuning beside the policy: takes goals, runs `thinkvla train` as a child process, and publishes its progress.
//!
//! ```text
//! goal ─► goal.rs ─► budget (does it fit?) ─► journal in OUT ─► train_process: thinkvla train OUT/train.yaml --resume
//!                                              │                  │ metrics.jsonl
//!              started again: goes on ◄────────┘                  ▼
//!                                        job_queue ─► feedback, ~/status, /diagnostics ─► result
//! ```
//!
//! The child is a process of its own, so that a crash of training, or a kill for lack of memory, does not end the node.

mod action;
mod budget;
mod error;
mod goal;
mod job;
mod job_queue;
mod job_status;
mod journal;
mod node;
mod policy_latency;
mod progress;
mod report;
mod settings;
mod train_process;

pub use node::FineTuneNode;
