//! A table-top in MuJoCo that stands in for the arm, its cameras and its driver.
//!
//! * [`config`], [`tasks`], [`scene`]: what stands where, by task, level and seed
//! * [`world`], [`camera`], [`noise`]: physics and pictures
//! * [`judge`]: success, by the physics alone
//! * [`expert`]: solves every task, speaking in chunks
//! * [`driver`]: the stand-in of Realman's driver
//! * [`rig`], [`episode`], [`pilot`]: all of it in step, whole episodes in one process, and who drives them
//! * [`collect`]: such episodes recorded as a dataset
//! * [`stage`], [`posture`], [`look`]: scenes to be looked at, with the arm somewhere in them, and what is seen of them
//! * [`questions`]: questions about such scenes, with answers that the physics knows
//! * [`geometry`]: what the patches of a view show, as targets to align latents with
//! * [`frames`]: independent moments of randomised episodes as a dataset, each with the expert's next chunk

pub mod camera;
pub mod collect;
pub mod config;
pub mod driver;
pub mod episode;
pub mod error;
pub mod expert;
pub mod frames;
pub mod geometry;
pub mod judge;
pub mod look;
pub mod noise;
pub mod pilot;
pub mod posture;
pub mod questions;
pub mod rig;
pub mod scene;
pub mod stage;
#[cfg(feature = "torch")]
pub mod targets;
pub mod tasks;
pub mod world;
