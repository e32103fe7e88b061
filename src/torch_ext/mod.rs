//! Parts of libtorch that tch does not offer, through a small C++ shim with a safe interface.
//!
//! * [`adamw`]: the fused optimiser
//! * [`linear`]: linear layers with weights packed for this CPU, fused with the operation that follows
//! * [`memory`]: returns the memory of packed weights to the system at once
//! * [`process_group`]: sums of tensors over processes, [`nccl`]: those on GPUs
//! * [`rows`]: norms and rotary embedding in one pass over memory
//!
//! Except for optimiser and sums all of it is for inference on the CPU; nothing here records gradients.
#![allow(unsafe_code)]

pub mod adamw;
pub mod linear;
pub mod memory;
pub mod nccl;
pub mod process_group;
pub mod rows;

use std::ffi::{CStr, c_char};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

/// Error message of the shim, or null.
type Message = *mut c_char;

unsafe extern "C" {
    fn thinkvla_free(message: Message);
}

/// Converts a message of the shim into an error. libtorch also reports wrong tensors this way.
fn checked(message: Message) -> Result<(), TchError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the shim returns null or a terminated string that is ours until it is freed, which happens once.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        thinkvla_free(message);
        text
    };
    Err(TchError::Torch(text))
}

/// Takes over a tensor that the shim created, or returns its error.
fn made(message: Message, tensor: *mut C_tensor) -> Result<Tensor, TchError> {
    checked(message)?;
    // SAFETY: without an error the shim made a tensor with `new`, which tch deletes.
    Ok(unsafe { Tensor::from_ptr(tensor) })
}

/// Pointer to an optional tensor; null for none.
fn pointer(tensor: Option<&Tensor>) -> *const C_tensor {
    tensor.map_or(std::ptr::null(), Tensor::as_ptr)
}
