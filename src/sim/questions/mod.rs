//! Questions about space with answers that the physics knows, written as Qwen-VL's finetuning files.
//!
//! * [`stage`]: a scene with something to ask about
//! * [`ask`]: questions about it, answered step by step
//! * [`write`](mod@write): pictures and files

pub mod ask;
pub mod stage;
pub mod write;
