//! A table-top in MuJoCo that stands in for the arm, its cameras and its driver.
//!
//! * [`config`], [`tasks`], [`scene`]: what stands where, by task, level and seed
//! * [`world`], [`camera`], [`noise`]: physics and pictures
//! * [`judge`]: success, by the physics alone
//! * [`expert`]: solves every task, speaking in chunks
//! * [`driver`]: the stand-in of Realman's driver
//! * [`rig`], [`episode`], [`pilot`]: all of it in step, whole episodes in one process, and who drives them
//! * [`collect`]: such episodes recorded as a dataset
//! * [`questions`]: questions about scenes, with answers that the physics knows

pub mod camera;
pub mod collect;
pub mod config;
pub mod driver;
pub mod episode;
pub mod error;
pub mod expert;
pub mod judge;
pub mod noise;
pub mod pilot;
pub mod questions;
pub mod rig;
pub mod scene;
pub mod tasks;
pub mod world;
