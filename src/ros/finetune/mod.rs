//! Fine-tuning beside the policy: a goal comes in, `thinkvla train` runs as a child process, figures go out.
//!
//! ```text
//! goal ─► order ─► budget (does it fit?) ─► journal in OUT ─► child: thinkvla train OUT/train.yaml --resume
//!                                              │                  │ metrics.jsonl
//!              started again: goes on ◄────────┘                  ▼
//!                                        bench ─► feedback, ~/status, /diagnostics ─► result
//! ```
//!
//! Training that crashes, or that the kernel ends for want of memory, takes nothing of the node with it.

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
