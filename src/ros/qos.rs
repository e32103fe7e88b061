//! Quality of service by purpose, so that both ends of a topic agree.

use rclrs::QoSProfile;

/// Camera images: best effort, the newest few; matches reliable and best-effort publishers alike.
pub fn images() -> QoSProfile {
    QoSProfile::sensor_data_default()
}

/// What any publisher sends, however little it promises: best effort, nothing kept.
pub fn any() -> QoSProfile {
    QoSProfile::topics_default().keep_last(10).best_effort()
}

/// Action chunks: reliable, and only the newest of a source matters; deep enough that a source without the lease, which
/// sends on, does not push out the holder's.
pub fn chunk() -> QoSProfile {
    QoSProfile::topics_default().keep_last(10)
}

/// Status and instruction: reliable, and a late joiner gets the last one.
pub fn latched() -> QoSProfile {
    QoSProfile::topics_default().keep_last(1).transient_local()
}

/// The time of a simulation, as nodes of every client library hear it.
pub fn clock() -> QoSProfile {
    QoSProfile::topics_default().keep_last(1).best_effort()
}

/// Events nobody may miss.
pub fn events() -> QoSProfile {
    QoSProfile::topics_default().keep_last(100)
}

/// Heartbeats: reliable, and only the newest matters.
pub fn heartbeat() -> QoSProfile {
    QoSProfile::topics_default().keep_last(1)
}

/// Commands to Realman's driver: its subscriptions are reliable and 1000 deep, so ours must be reliable, and a depth
/// of one keeps us from adding to the backlog.
pub fn driver_command() -> QoSProfile {
    QoSProfile::topics_default().keep_last(1)
}

/// State from Realman's driver.
pub fn driver_state() -> QoSProfile {
    QoSProfile::topics_default()
}

/// Diagnostics, markers and other things for people.
pub fn display() -> QoSProfile {
    QoSProfile::topics_default()
}
