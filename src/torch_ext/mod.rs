//! What libtorch can do and tch does not offer: a small C++ shim with a safe face.
//!
//! * [`adamw`]: the optimiser, fused
//! * [`linear`]: linear maps with weights packed for this CPU, and what follows them fused in
//! * [`memory`]: memory of packed weights goes back at once
//! * [`ranks`]: processes that add up tensors, [`nccl`]: those on GPUs
//! * [`rows`]: norms and rotary embedding in one pass over memory
//!
//! But for optimiser and processes all of it is for inference on the CPU; nothing here records gradients.
#![allow(unsafe_code)]

pub mod adamw;
pub mod linear;
pub mod memory;
pub mod nccl;
pub mod ranks;
pub mod rows;

use std::ffi::{CStr, c_char};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

/// An error message of the shim, or null.
type Message = *mut c_char;

unsafe extern "C" {
    fn thinkvla_free(message: Message);
}

/// What the shim said. Libtorch reports as an error what is wrong with a tensor, so that is what it becomes here.
fn checked(message: Message) -> Result<(), TchError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the shim gives back null or a terminated string that is ours until it is freed, which happens once.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        thinkvla_free(message);
        text
    };
    Err(TchError::Torch(text))
}

/// The tensor the shim made.
fn made(message: Message, tensor: *mut C_tensor) -> Result<Tensor, TchError> {
    checked(message)?;
    // SAFETY: without an error the shim made a tensor with `new`, which tch deletes.
    Ok(unsafe { Tensor::from_ptr(tensor) })
}

/// A tensor the shim may do without.
fn pointer(tensor: Option<&Tensor>) -> *const C_tensor {
    tensor.map_or(std::ptr::null(), Tensor::as_ptr)
}
