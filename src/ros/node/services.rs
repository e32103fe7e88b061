//! Handles and responses of services.

use std::any::Any;
use std::fmt::Display;

use ros_env::std_srvs::srv::Trigger_Response;

/// Handles that keep services, subscriptions and timers alive.
pub type Handles = Vec<Box<dyn Any + Send + Sync>>;

/// Returns the response of a trigger service to its outcome; success is logged with the name of the service.
pub fn trigger_response(service: &str, outcome: Result<String, impl Display>) -> Trigger_Response {
    match outcome {
        Ok(message) => {
            tracing::info!("{service}: {message}");
            Trigger_Response { success: true, message }
        }
        Err(error) => Trigger_Response {
            success: false,
            message: error.to_string(),
        },
    }
}
