//! Questions about space with answers that the physics knows, written as Qwen-VL's finetuning files.
//!
//! * [`ask`]: questions about a [stage](super::stage), answered step by step
//! * [`write`](mod@write): pictures and files

pub mod ask;
pub mod write;
