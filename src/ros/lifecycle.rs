//! The standard lifecycle of a managed node, by the services `ros2 lifecycle` talks to; rclrs has none of its own.

mod machine;
mod services;

pub use machine::{Machine, Refusal, State, Transition};
pub use services::Lifecycle;

/// What a managed node does in each transition. A failure puts the node back where it was, except in `deactivate` and
/// `shut_down`, which must always succeed: letting go of an arm cannot be refused.
pub trait Managed: Send + 'static {
    /// unconfigured to inactive: loads and warms what is needed.
    ///
    /// # Errors
    /// Why the node cannot work, for the log.
    fn configure(&mut self) -> Result<(), String>;

    /// inactive to active: permits motion.
    ///
    /// # Errors
    /// Why motion cannot be permitted, for the log.
    fn activate(&mut self) -> Result<(), String>;

    /// active to inactive: ends motion.
    fn deactivate(&mut self);

    /// inactive to unconfigured: frees what `configure` loaded.
    fn clean_up(&mut self);
}
