//! Physics, driver stand-in and judge of one episode, in step.

use super::config::SimConfig;
use super::driver::{Driver, State};
use super::error::SimError;
use super::judge::Judge;
use super::scene::SceneOptions;
use super::tasks::{self, EpisodeId, Layout};
use super::world::World;

/// One episode's table-top.
pub struct Rig {
    /// Identifies the episode.
    pub id: EpisodeId,
    /// Initial positions of all objects, and the goal.
    pub layout: Layout,
    /// The physics.
    pub world: World,
    /// Watches for success.
    pub judge: Judge,
}

impl Rig {
    /// The start of an episode.
    ///
    /// # Errors
    /// When there is no such level, or MuJoCo refuses the scene.
    pub fn new(config: &SimConfig, id: EpisodeId, options: SceneOptions) -> Result<Self, SimError> {
        let layout = tasks::layout(config, id)?;
        Ok(Self {
            id,
            world: World::new(config, &layout, options)?,
            judge: Judge::new(layout.goal.clone(), config.block.side_m),
            layout,
        })
    }

    /// One physics step; what the driver publishes, when its cycle is over.
    pub fn step(&mut self, driver: &mut Driver) -> Option<State> {
        let setpoint = driver.step();
        self.world.step(&setpoint);
        self.judge.watch(&self.world);
        driver.push(&self.world.joints())
    }
}
