//! Processes that add up tensors, over libtorch's c10d and Gloo.

use std::ffi::{CString, c_char};
use std::ptr::{NonNull, null_mut};
use std::time::Duration;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use super::{Message, checked};

/// The shim's own.
#[repr(C)]
struct Ranks {
    _private: [u8; 0],
}

/// What the shim reads of a [`Meeting`].
#[repr(C)]
struct Place {
    host: *const c_char,
    room: *const c_char,
    timeout_ms: u64,
    port: u16,
    serves: u8,
    rank: i32,
    size: i32,
}

unsafe extern "C" {
    fn thinkvla_ranks_join(place: *const Place, ranks: *mut *mut Ranks) -> Message;
    fn thinkvla_ranks_sum(ranks: *const Ranks, tensor: *const C_tensor) -> Message;
    fn thinkvla_ranks_leave(ranks: *mut Ranks);
}

/// Where processes meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// Host of the store.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether this process keeps the store; otherwise it is there, or will be.
    pub serves: bool,
    /// What keeps several meetings in one store apart.
    pub room: String,
    /// Which of them this process is, from 0.
    pub rank: i32,
    /// How many there are.
    pub size: i32,
    /// Longest wait for another.
    pub timeout: Duration,
}

/// Processes that have met.
#[derive(Debug)]
pub struct Group(NonNull<Ranks>);

// SAFETY: the shim's object belongs to no thread.
unsafe impl Send for Group {}

impl Group {
    /// Waits for the others.
    ///
    /// # Errors
    /// When they do not come, or the store cannot be reached.
    pub fn join(meeting: &Meeting) -> Result<Self, TchError> {
        let text = |value: &str| CString::new(value).map_err(|e| TchError::Torch(e.to_string()));
        let (host, room) = (text(&meeting.host)?, text(&meeting.room)?);
        let place = Place {
            host: host.as_ptr(),
            room: room.as_ptr(),
            timeout_ms: u64::try_from(meeting.timeout.as_millis()).unwrap_or(u64::MAX),
            port: meeting.port,
            serves: u8::from(meeting.serves),
            rank: meeting.rank,
            size: meeting.size,
        };
        let mut ranks = null_mut();
        // SAFETY: the strings outlive the call, and `ranks` is a place for the result.
        checked(unsafe { thinkvla_ranks_join(&place, &mut ranks) })?;
        NonNull::new(ranks)
            .map(Self)
            .ok_or_else(|| TchError::Torch("libtorch made no group of processes".into()))
    }

    /// Adds up a contiguous tensor of the CPU over all processes, in place; each has to call it.
    ///
    /// # Errors
    /// When another has gone or does not come in time, or the tensor cannot be sent.
    pub fn sum(&self, tensor: &Tensor) -> Result<(), TchError> {
        // SAFETY: both outlive the call, which waits until the tensor is whole.
        checked(unsafe { thinkvla_ranks_sum(self.0.as_ptr(), tensor.as_ptr()) })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the shim made it and nobody has it any more.
        unsafe { thinkvla_ranks_leave(self.0.as_ptr()) }
    }
}
