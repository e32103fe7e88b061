//! Spatial questions with answers from the physics, written as Qwen-VL's fine-tuning files.
//!
//! * [`ask`]: questions about a [sampled scene](super::scene_sampler), with step-by-step answers
//! * [`write`](mod@write): pictures and files

pub mod ask;
pub mod write;
