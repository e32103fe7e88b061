//! Physics and judge of one episode, stepped together with the simulated driver.

use super::config::SimConfig;
use super::driver::{DriverState, SimDriver};
use super::error::SimError;
use super::judge::Judge;
use super::scene::SceneOptions;
use super::tasks::{self, EpisodeId, TaskLayout};
use super::world::World;

/// Scene, physics and judge of one episode.
pub struct EpisodeWorld {
    /// Identifies the episode.
    pub id: EpisodeId,
    /// Initial positions of all objects, and the goal.
    pub layout: TaskLayout,
    /// The physics simulation.
    pub world: World,
    /// Judge of success.
    pub judge: Judge,
}

impl EpisodeWorld {
    /// Creates the start of an episode.
    ///
    /// # Errors
    /// When there is no such variation, or MuJoCo refuses the scene.
    pub fn new(config: &SimConfig, id: EpisodeId, options: SceneOptions) -> Result<Self, SimError> {
        let layout = tasks::layout(config, id)?;
        Ok(Self {
            id,
            world: World::new(config, &layout, options)?,
            judge: Judge::new(layout.goal.clone(), config.block.side_m),
            layout,
        })
    }

    /// Advances by one physics step; returns the state that the driver publishes when its cycle is over.
    pub fn step(&mut self, driver: &mut SimDriver) -> Option<DriverState> {
        let setpoint = driver.step();
        self.world.step(&setpoint);
        self.judge.watch(&self.world);
        driver.push(&self.world.joints())
    }
}
