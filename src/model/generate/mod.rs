//! Text generation: a question about images in, an answer out, one token at a time.
//!
//! ```text
//! question, grids ─► conversation ─► prompt ─┐
//! images ─► vision ─► tokens, deepstack ─────┴► generation ─► token ─► stream ─► text
//!                                               │   cache, sampling
//!                                               └─ one piece of the prompt, or one token, at a call
//! ```
//!
//! [`chat_labels`] encodes whole conversations for training.
//!
//! A generation owns its state and borrows the network only while it advances, so that other work can run between two
//! steps.

pub mod chat;
pub mod chat_labels;
pub mod conversation;
pub mod generation;
pub mod sampling;
pub mod stream;
