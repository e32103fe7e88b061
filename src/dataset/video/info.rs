//! Description of a video column in `meta/info.json`.

use serde_json::{Value, json};

use super::encoder::VideoSettings;

/// Returns the `info` of a feature whose frames [`super::VideoWriter`] encodes, with LeRobot's keys.
pub fn feature_info(settings: &VideoSettings) -> Value {
    json!({
        "video.height": settings.height,
        "video.width": settings.width,
        "video.codec": "h264",
        "video.pix_fmt": "yuv420p",
        "video.fps": settings.fps,
        "video.channels": 3,
        "video.g": settings.gop,
        "has_audio": false,
        "is_depth_map": false,
    })
}
