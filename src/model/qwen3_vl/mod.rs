//! Qwen3-VL: vision tower, language model and text head, with the keys of Hugging Face's checkpoints.
//!
//! * [`vision`], [`vision_plan`]: vision tower, and what it computes once for a set of image sizes
//! * [`inputs`]: prompts as tensors
//! * [`text_model`]: language model; `text_layer`: its decoder layer
//! * [`kv_cache`], [`prefix_cache`]: keys and values of earlier tokens
//! * [`backbone`]: all of it as one module

pub mod backbone;
pub mod inputs;
pub mod kv_cache;
pub mod prefix_cache;
mod text_layer;
pub mod text_model;
pub mod vision;
pub mod vision_plan;
