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
        rule: *const Rule,
    ) -> Message;
    fn thinkvla_forget_gradient(tensor: *const C_tensor) -> Message;
    fn thinkvla_give_gradient(tensor: *const C_tensor, gradient: *const C_tensor) -> Message;
    fn thinkvla_norm(tensors: *const *const C_tensor, count: usize, norm: *mut *mut C_tensor) -> Message;
}

/// How a step is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Rule {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Share of the weights that is taken away, times the learning rate.
    pub weight_decay: f64,
    /// What is added to the root of the mean of squares.
    pub eps: f64,
}

/// Tensors of one type on one device that are stepped together, each list in the same order.
#[derive(Debug, Default)]
pub struct Stepped {
    /// What is learned.
    pub weights: Vec<Tensor>,
    /// Gradients, of the weights' shapes.
    pub gradients: Vec<Tensor>,
    /// Means of gradients.
    pub means: Vec<Tensor>,
    /// Means of their squares.
    pub squares: Vec<Tensor>,
    /// Steps taken, one value of 32 bits each.
    pub steps: Vec<Tensor>,
}

impl Stepped {
    /// Takes one step, in place, and counts it.
    ///
    /// # Errors
    /// When the lists differ in length, or shapes, types or devices do not fit.
    pub fn step(&self, rule: &Rule) -> Result<(), TchError> {
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

/// Leaves a tensor without a gradient: the next backward pass gives it one of its own and adds to nothing.
///
/// # Errors
/// When it cannot have one.
pub fn forget_gradient(tensor: &Tensor) -> Result<(), TchError> {
    // SAFETY: the tensor outlives the call.
    checked(unsafe { thinkvla_forget_gradient(tensor.as_ptr()) })
}

/// Gives a tensor a gradient of its shape, type and device.
///
/// # Errors
/// When it cannot have that one.
pub fn give_gradient(tensor: &Tensor, gradient: &Tensor) -> Result<(), TchError> {
    // SAFETY: both outlive the call, and the tensor keeps a share of the gradient.
    checked(unsafe { thinkvla_give_gradient(tensor.as_ptr(), gradient.as_ptr()) })
}

/// Euclidean norm of all values of some tensors together: one value on their device.
///
/// # Errors
/// When there is none, or they are on several devices.
pub fn norm(tensors: &[Tensor]) -> Result<Tensor, TchError> {
    let pointers: Vec<_> = tensors.iter().map(|tensor| tensor.as_ptr()).collect();
    let mut norm = null_mut();
    // SAFETY: the list holds as many tensors, which outlive the call, and `norm` is a place for the result.
    let message = unsafe { thinkvla_norm(pointers.as_ptr(), pointers.len(), &mut norm) };
    made(message, norm)
}
