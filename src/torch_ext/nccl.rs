//! Sums of tensors over processes on their GPUs, through libtorch's c10d and NCCL.

use std::ptr::{NonNull, null_mut};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use super::process_group::Ranks;
use super::{Message, checked, pointer};

/// Opaque object of the shim.
#[repr(C)]
struct Handle {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn thinkvla_nccl_built() -> u8;
    fn thinkvla_nccl_open(ranks: *const Ranks, index: i32, gpu: *mut *mut Handle) -> Message;
    fn thinkvla_nccl_begin(gpu: *mut Handle, tensor: *const C_tensor) -> Message;
    fn thinkvla_nccl_over(gpu: *const Handle, over: *mut u8) -> Message;
    fn thinkvla_nccl_leave(gpu: *mut Handle);
}

/// Reports whether this program was built with libtorch's CUDA part and NCCL's header.
pub fn built() -> bool {
    // SAFETY: a constant of the shim.
    unsafe { thinkvla_nccl_built() != 0 }
}

/// This process's GPU in the group of all processes. No method waits for another process.
#[derive(Debug)]
pub(super) struct Gpu(NonNull<Handle>);

// SAFETY: the shim's object belongs to no thread.
unsafe impl Send for Gpu {}

impl Gpu {
    /// Opens the GPU of this index and makes it the current one of this thread.
    ///
    /// # Errors
    /// When there is no such GPU, or the program was built without NCCL or with another version than libtorch's.
    pub(super) fn open(ranks: NonNull<Ranks>, index: usize) -> Result<Self, TchError> {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        let mut gpu = null_mut();
        // SAFETY: `ranks` is alive in the caller, the shim keeps what it needs of it, and `gpu` is a place for the
        // result.
        checked(unsafe { thinkvla_nccl_open(ranks.as_ptr(), index, &mut gpu) })?;
        NonNull::new(gpu)
            .map(Self)
            .ok_or_else(|| TchError::Torch("libtorch made no group of GPUs".into()))
    }

    /// Begins to connect to the other processes or, with a contiguous tensor of this GPU, to sum it over all processes,
    /// in place. Every process has to call it, and call nothing else until [`over`](Self::over) returns true.
    ///
    /// # Errors
    /// When no thread can be started for it.
    pub(super) fn begin(&self, tensor: Option<&Tensor>) -> Result<(), TchError> {
        // SAFETY: the handle is alive, and the shim holds the tensor's memory until the sum is made.
        checked(unsafe { thinkvla_nccl_begin(self.0.as_ptr(), pointer(tensor)) })
    }

    /// Returns true once the operation that was begun is complete. GPU work that this thread queues afterwards runs
    /// after it.
    ///
    /// # Errors
    /// When NCCL or the GPU failed.
    pub(super) fn over(&self) -> Result<bool, TchError> {
        let mut over = 0;
        // SAFETY: the handle is alive and something was begun; `over` is a place for the result.
        checked(unsafe { thinkvla_nccl_over(self.0.as_ptr(), &mut over) })?;
        Ok(over != 0)
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // SAFETY: the shim made it and nobody has it any more.
        unsafe { thinkvla_nccl_leave(self.0.as_ptr()) }
    }
}
