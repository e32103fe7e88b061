//! Replays one recorded frame of each simulated camera: a steady input without the cost of rendering.

use std::path::Path;

use super::error::HarnessError;
use super::monitor::CAMERAS;
use super::replay;
use super::session::{HarnessSession, START, Simulated, float};

/// Rate of the cameras while a frame is awaited (Hz).
const AWAIT_RATE_HZ: f64 = 5.0;

/// Starts the simulator, saves one frame of each camera in `directory`, and ends the simulator.
///
/// # Errors
/// When the simulator dies or sends nothing, or a frame cannot be written.
pub fn record(session: &HarnessSession, directory: &Path) -> Result<(), HarnessError> {
    session.start_sim(&Simulated {
        camera_rate_hz: AWAIT_RATE_HZ,
        command_rate_hz: 0.0,
    })?;
    for camera in CAMERAS {
        let frame = session.wait("a camera image", START, |seen| {
            seen.frame_logs.get(camera)?.frames().first().cloned()
        })?;
        replay::save(directory, camera, &frame)?;
    }
    session.processes.interrupt("sim_node")?;
    session.observed().update(|seen| seen.episode = None);
    Ok(())
}

/// Publishes the frames in `directory` as both cameras, at `rate_hz`, and waits for the first images.
///
/// # Errors
/// When the replaying process dies or sends nothing.
pub fn show(session: &HarnessSession, directory: &Path, rate_hz: f64) -> Result<(), HarnessError> {
    let directory = std::path::absolute(directory).map_err(HarnessError::file(directory))?;
    session.begin();
    let parameters = [
        "replay-frames".to_owned(),
        directory.display().to_string(),
        "--rate".to_owned(),
        float(rate_hz),
    ];
    session.processes.start("thinkvla", &parameters)?;
    session.wait("replayed images", START, |seen| {
        let both = CAMERAS.iter().all(|camera| seen.images.contains_key(*camera));
        both.then_some(())
    })
}
