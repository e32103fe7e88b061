//! AdamW in one pass over memory, for many tensors at once.

use std::ptr::null_mut;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use super::{Message, checked, made};

unsafe extern "C" {
    fn thinkvla_adamw(
        weights: *const *const C_tensor,
        gradients: *const *const C_tensor,
        means: *const *const C_tensor,
        squares: *const *const C_tensor,
        steps: *const *const C_tensor,
        count: usize,
        rule: *const AdamWRule,
    ) -> Message;
    fn thinkvla_clear_gradient(tensor: *const C_tensor) -> Message;
    fn thinkvla_set_gradient(tensor: *const C_tensor, gradient: *const C_tensor) -> Message;
    fn thinkvla_norm(tensors: *const *const C_tensor, count: usize, norm: *mut *mut C_tensor) -> Message;
}

/// Hyperparameters of one AdamW step.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct AdamWRule {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay rate of the running mean of gradients.
    pub beta1: f64,
    /// Decay rate of the running mean of squared gradients.
    pub beta2: f64,
    /// Decoupled weight decay: each step takes `learning_rate * weight_decay` of every weight away.
    pub weight_decay: f64,
    /// Added to the root of the mean of squares, against division by zero.
    pub eps: f64,
}

/// Tensors of one type on one device that are updated together; all lists are in the same order.
#[derive(Debug, Default)]
pub struct AdamWTensors {
    /// Weights to be updated.
    pub weights: Vec<Tensor>,
    /// Gradients, of the weights' shapes.
    pub gradients: Vec<Tensor>,
    /// Running means of gradients.
    pub means: Vec<Tensor>,
    /// Running means of squared gradients.
    pub squares: Vec<Tensor>,
    /// Numbers of steps taken, one float32 value each.
    pub steps: Vec<Tensor>,
}

impl AdamWTensors {
    /// Takes one optimiser step in place and increments the step counts.
    ///
    /// # Errors
    /// When the lists differ in length, or shapes, types or devices do not fit.
    pub fn step(&self, rule: &AdamWRule) -> Result<(), TchError> {
        let count = self.weights.len();
        for list in [&self.gradients, &self.means, &self.squares, &self.steps] {
            if list.len() != count {
                return Err(TchError::Torch(format!(
                    "expected {count} tensors in each list of AdamW, found {}",
                    list.len()
                )));
            }
        }
        if count == 0 {
            return Ok(());
        }
        let _no_grad = tch::no_grad_guard();
        for steps in &self.steps {
            let _ = steps.shallow_clone().f_add_scalar_(1.0)?;
        }
        let pointers = |list: &[Tensor]| list.iter().map(|tensor| tensor.as_ptr()).collect::<Vec<_>>();
        let [weights, gradients, means, squares, steps] =
            [&self.weights, &self.gradients, &self.means, &self.squares, &self.steps].map(|list| pointers(list));
        // SAFETY: each list holds `count` tensors, which outlive the call; what is written is what they hold.
        checked(unsafe {
            thinkvla_adamw(
                weights.as_ptr(),
                gradients.as_ptr(),
                means.as_ptr(),
                squares.as_ptr(),
                steps.as_ptr(),
                count,
                rule,
            )
        })
    }
}

/// Removes a tensor's gradient. The next backward pass then allocates a new one instead of adding to the old.
///
/// # Errors
/// When the tensor cannot have a gradient.
pub fn clear_gradient(tensor: &Tensor) -> Result<(), TchError> {
    // SAFETY: the tensor outlives the call.
    checked(unsafe { thinkvla_clear_gradient(tensor.as_ptr()) })
}

/// Sets a tensor's gradient, which needs the tensor's shape, type and device.
///
/// # Errors
/// When the gradient does not fit the tensor.
pub fn set_gradient(tensor: &Tensor, gradient: &Tensor) -> Result<(), TchError> {
    // SAFETY: both outlive the call, and the tensor keeps a share of the gradient.
    checked(unsafe { thinkvla_set_gradient(tensor.as_ptr(), gradient.as_ptr()) })
}

/// Euclidean norm of all values of some tensors together: one value on their device.
///
/// # Errors
/// When the list is empty, or the tensors are on several devices.
pub fn norm(tensors: &[Tensor]) -> Result<Tensor, TchError> {
    let pointers: Vec<_> = tensors.iter().map(|tensor| tensor.as_ptr()).collect();
    let mut norm = null_mut();
    // SAFETY: the list holds as many tensors, which outlive the call, and `norm` is a place for the result.
    let message = unsafe { thinkvla_norm(pointers.as_ptr(), pointers.len(), &mut norm) };
    made(message, norm)
}
