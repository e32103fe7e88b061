//! Lifecycle of a managed node with the standard services that `ros2 lifecycle` calls; rclrs has none of its own.

mod machine;
mod services;

pub use machine::{LifecycleState, StateMachine, Transition, TransitionRefusal};
pub use services::Lifecycle;

/// Callbacks of a managed node's transitions. A failure returns the node to its previous state. `deactivate` and `clean_up`
/// cannot fail: it must always be possible to release the arm.
pub trait Managed: Send + 'static {
    /// Error of a transition; it is logged.
    type Error: std::error::Error;

    /// unconfigured to inactive: loads and warms up what is needed.
    ///
    /// # Errors
    /// The reason why the node cannot work.
    fn configure(&mut self) -> Result<(), Self::Error>;

    /// inactive to active: permits motion.
    ///
    /// # Errors
    /// The reason why motion cannot be permitted.
    fn activate(&mut self) -> Result<(), Self::Error>;

    /// active to inactive: ends motion.
    fn deactivate(&mut self);

    /// inactive to unconfigured: frees what `configure` loaded.
    fn clean_up(&mut self);
}
