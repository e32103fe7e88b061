//! Sums of tensors that stay on their GPUs, over libtorch's c10d and NCCL.

use std::ptr::{NonNull, null_mut};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use super::ranks::Ranks;
use super::{Message, checked, pointer};

/// The shim's own.
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

/// Whether this program was built where libtorch's CUDA part and NCCL's header are.
pub fn built() -> bool {
    // SAFETY: a constant of the shim.
    unsafe { thinkvla_nccl_built() != 0 }
}

/// This process's GPU among those of all processes. Nothing here waits for another process.
#[derive(Debug)]
pub(super) struct Gpu(NonNull<Handle>);

// SAFETY: the shim's object belongs to no thread.
unsafe impl Send for Gpu {}

impl Gpu {
    /// The GPU of this number, which becomes this thread's.
    ///
    /// # Errors
    /// When it is not there, or the program was built without NCCL or with another than libtorch.
    pub(super) fn open(ranks: NonNull<Ranks>, index: usize) -> Result<Self, TchError> {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        let mut gpu = null_mut();
        // SAFETY: `ranks` is alive in whoever calls, the shim keeps what it needs of it, and `gpu` is a place for the
        // result.
        checked(unsafe { thinkvla_nccl_open(ranks.as_ptr(), index, &mut gpu) })?;
        NonNull::new(gpu)
            .map(Self)
            .ok_or_else(|| TchError::Torch("libtorch made no group of GPUs".into()))
    }

    /// Begins to meet the others or, with a contiguous tensor of this GPU, to add it up over all processes, in place;
    /// each has to begin it, and nothing else before it is [`over`](Self::over).
    ///
    /// # Errors
    /// When there is no thread to do it.
    pub(super) fn begin(&self, tensor: Option<&Tensor>) -> Result<(), TchError> {
        // SAFETY: the handle is alive, and the shim holds the tensor's memory until the sum is made.
        checked(unsafe { thinkvla_nccl_begin(self.0.as_ptr(), pointer(tensor)) })
    }

    /// Whether what was begun is over. What this thread has the GPU do from then on comes after it.
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
