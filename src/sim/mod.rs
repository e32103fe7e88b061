//! A table-top in MuJoCo that stands in for the arm, its cameras and its driver.
//!
//! * [`config`], [`tasks`], [`scene`]: the scene by task, level and seed
//! * [`world`], [`camera`], [`noise`]: physics and pictures
//! * [`judge`]: success, from the physics alone
//! * [`expert`]: solves every task with chunks
//! * [`driver`]: the simulation of Realman's driver
//! * [`episode_world`], [`episode`], [`pilot`]: whole episodes in one process, and what drives them
//! * [`collect`]: records such episodes as a dataset
//! * [`scene_sampler`], [`random_pose`], [`raycast`]: static scenes with a random pose of the arm, and ray casting into them
//! * [`questions`]: questions about such scenes, with answers from the physics
//! * [`geometry`]: surface points shown by the patches of a view, as targets to align latents with
//! * [`frames`]: independent moments of randomised episodes as a dataset, each with the expert's next chunk

pub mod camera;
pub mod collect;
pub mod config;
pub mod driver;
pub mod episode;
pub mod episode_world;
pub mod error;
pub mod expert;
pub mod frames;
pub mod geometry;
pub mod judge;
pub mod noise;
pub mod pilot;
pub mod questions;
pub mod random_pose;
pub mod raycast;
pub mod scene;
pub mod scene_sampler;
pub mod tasks;
pub mod world;
