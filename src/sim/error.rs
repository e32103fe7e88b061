//! Errors of the simulator.

use super::config::ConfigError;

/// Error of the simulator.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No such task.
    #[error("task: expected height, container or position, found \"{0}\"")]
    Task(String),
    /// No such level.
    #[error("variation: expected 0, 1 or 2, found {0}")]
    Variation(u8),
    /// MuJoCo does not take the scene.
    #[error("MuJoCo refused the scene: {0}")]
    Scene(String),
    /// The scene lacks something the code relies on.
    #[error("the scene has no {kind} called {name}; scene.xml and the code disagree")]
    Missing {
        /// Kind of element.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The expert may not begin.
    #[error("the expert cannot drive: {0}")]
    Begin(String),
    /// No picture can be made.
    #[error("cannot render: {0}; off-screen rendering needs libegl1, libegl-mesa0 and libgl1-mesa-dri")]
    Render(String),
    /// A picture could not be encoded.
    #[error("picture of the {0} camera: {1}")]
    Picture(&'static str, String),
}
