//! Quality of service by purpose, so that both ends of a topic match.

use rclrs::QoSProfile;

/// Camera images: best effort, small depth; matches reliable and best-effort publishers alike.
pub fn images() -> QoSProfile {
    QoSProfile::sensor_data_default()
}

/// Subscription that matches every publisher: best effort, volatile.
pub fn any() -> QoSProfile {
    QoSProfile::topics_default().keep_last(10).best_effort()
}

/// Action chunks: reliable. Only the newest chunk of a source matters; the depth keeps a source without the lease, which
/// may keep sending, from pushing out the holder's chunks.
pub fn chunk() -> QoSProfile {
    QoSProfile::topics_default().keep_last(10)
}

/// Status and instruction: reliable and transient local, so that a late joiner gets the last message.
pub fn latched() -> QoSProfile {
    QoSProfile::topics_default().keep_last(1).transient_local()
}

/// Simulation time on `/clock`: best effort, as nodes of all client libraries subscribe to it.
pub fn clock() -> QoSProfile {
    QoSProfile::topics_default().keep_last(1).best_effort()
}

/// Events that must not be lost: reliable with a large depth.
pub fn events() -> QoSProfile {
    QoSProfile::topics_default().keep_last(100)
}

/// Heartbeats: reliable, and only the newest matters.
pub fn heartbeat() -> QoSProfile {
    QoSProfile::topics_default().keep_last(1)
}

/// Commands to Realman's driver. Its subscriptions are reliable, so the publisher must be, too; they are 1000 deep, so a
/// depth of one here avoids adding to the backlog.
pub fn driver_command() -> QoSProfile {
    QoSProfile::topics_default().keep_last(1)
}

/// State published by Realman's driver.
pub fn driver_state() -> QoSProfile {
    QoSProfile::topics_default()
}

/// Diagnostics, markers and other topics for display.
pub fn display() -> QoSProfile {
    QoSProfile::topics_default()
}
