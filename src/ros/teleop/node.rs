//! The node: its subscriptions, publishers and clients, and the control loop's thread.

use std::sync::{Arc, Mutex};

use rclrs::{IntoPrimitiveOptions as _, RclrsError};

use super::arm;
use super::commands::{Announcer, CommandClients};
use super::control_loop::{ControlLoop, ControlStatus, LoopLiveness};
use super::inputs::{self, InputError};
use super::lease::OperatorLease;
use super::settings::{TeleopSettings, TeleopSettingsError};
use super::{Steady, lock, report};
use crate::ros::client::arm_status::ArmMonitor;
use crate::ros::node::runtime::Runtime;
use crate::ros::node::services::Handles;
use crate::ros::node::time::NodeClock;
use crate::ros::node::{diagnostics, qos, topics};
use crate::teleop::session::TeleopSession;

/// Error that keeps the node from starting.
#[derive(Debug, thiserror::Error)]
pub enum TeleopNodeError {
    /// Invalid parameter or file.
    #[error(transparent)]
    Settings(#[from] TeleopSettingsError),
    /// The input device cannot be opened.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Error of ROS.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] RclrsError),
}

/// The running node.
pub struct TeleopNode {
    _kept: Handles,
}

impl TeleopNode {
    /// Starts the node without a lease.
    ///
    /// # Errors
    /// When a parameter or the mapping is invalid, the input device cannot be opened, or ROS reports an error.
    pub fn start(runtime: &Runtime) -> Result<Self, TeleopNodeError> {
        let (node, tokio) = (runtime.node(), runtime.tokio());
        let settings = TeleopSettings::declare(runtime)?;
        let steady = Steady::start();
        let (liveness, announcer) = (LoopLiveness::new(steady), Announcer::default());
        let status: Arc<Mutex<ControlStatus>> = Arc::default();
        let beating = liveness.clone();
        let clients = CommandClients::new(
            node,
            tokio,
            &settings.mapping,
            settings.instructions.clone(),
            announcer.clone(),
        )?;
        let arm = ArmMonitor::subscribe(node, move |status| arm::read(&status, steady))?;
        let operator_lease = OperatorLease::new(node, tokio, steady, move || beating.is_alive())?;
        let chunks = node.create_publisher(topics::CHUNK.name.qos(qos::chunk()))?;
        let input = inputs::listen(runtime, &settings.mapping, steady)?;
        let mut kept = input.kept;

        let (shown, announced, mapping) = (Arc::clone(&status), announcer.clone(), settings.mapping_name.clone());
        kept.push(Box::new(diagnostics::publish(node, "operator", move || {
            vec![report::operator(&mapping, &lock(&shown), &announced.last())]
        })?));
        let control = ControlLoop {
            device: input.device,
            session: TeleopSession::new(settings.mapping.clone(), &settings.base_frame),
            arm,
            operator_lease,
            clients,
            chunks,
            keeps_lease: settings.keeps_lease,
            clock: NodeClock::of(node),
            steady,
            status,
            liveness,
            announcer,
            waiting_move: None,
            lapsed: false,
        };
        kept.push(Box::new(settings));
        let (shutdown, handle) = (runtime.shutdown().clone(), tokio.clone());
        runtime.shutdown().run_beside(move || control.run(&shutdown, &handle));
        Ok(Self { _kept: kept })
    }
}
