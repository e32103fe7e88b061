//! Errors of the simulator.

use super::config::SimConfigError;

/// Error of the simulator.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] SimConfigError),
    /// There is no such task.
    #[error("task: expected height, container or position, found \"{0}\"")]
    Task(String),
    /// There is no such variation.
    #[error("variation: expected 0, 1 or 2, found {0}")]
    Variation(u8),
    /// MuJoCo refuses the scene.
    #[error("MuJoCo refused the scene: {0}")]
    Scene(String),
    /// The scene lacks an element the code relies on.
    #[error("the scene has no {kind} called {name}; scene.xml and the code disagree")]
    Missing {
        /// Kind of element.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The expert or pilot cannot begin.
    #[error("the expert cannot drive: {0}")]
    Begin(String),
    /// No picture can be rendered.
    #[error("cannot render: {0}; off-screen rendering needs libegl1, libegl-mesa0 and libgl1-mesa-dri")]
    Render(String),
    /// A picture cannot be encoded.
    #[error("picture of the {0} camera: {1}")]
    Picture(&'static str, String),
}
