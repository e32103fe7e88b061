//! Sums of tensors over processes, through libtorch's c10d: with Gloo on the CPU, with NCCL on GPUs.

use std::ffi::{CString, c_char};
use std::ptr::{NonNull, null_mut};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tch::{Device, TchError, Tensor};
use torch_sys::C_tensor;

use super::nccl::{self, Gpu};
use super::{Message, checked};

/// Time a process polls its own GPU before it asks the others; most sums are complete by then.
const LOCAL_POLL_TIME: Duration = Duration::from_millis(20);
/// Interval between two polls.
const POLL_PERIOD: Duration = Duration::from_micros(50);

/// Opaque object of the shim.
#[repr(C)]
pub(super) struct Ranks {
    _private: [u8; 0],
}

/// C representation of a [`Rendezvous`] for the shim.
#[repr(C)]
struct CRendezvous {
    host: *const c_char,
    key_prefix: *const c_char,
    timeout_ms: u64,
    port: u16,
    serves: u8,
    rank: i32,
    size: i32,
}

unsafe extern "C" {
    fn thinkvla_ranks_join(rendezvous: *const CRendezvous, ranks: *mut *mut Ranks) -> Message;
    fn thinkvla_ranks_sum(ranks: *const Ranks, tensor: *const C_tensor) -> Message;
    fn thinkvla_ranks_leave(ranks: *mut Ranks);
}

/// Rendezvous of processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// Host of the key-value store.
    pub host: String,
    /// Port of the store.
    pub port: u16,
    /// Whether this process serves the store; otherwise another one does or will.
    pub serves: bool,
    /// Prefix of the keys, which separates several rendezvous in one store.
    pub key_prefix: String,
    /// Rank of this process, from 0.
    pub rank: i32,
    /// Number of processes.
    pub size: i32,
    /// Longest wait for another process.
    pub timeout: Duration,
}

/// A group of connected processes.
#[derive(Debug)]
pub struct RankGroup {
    ranks: NonNull<Ranks>,
    size: i32,
    timeout: Duration,
    gpu: Option<Gpu>,
}

// SAFETY: the shim's object belongs to no thread.
unsafe impl Send for RankGroup {}

impl RankGroup {
    /// Joins the group; waits for the other processes.
    ///
    /// # Errors
    /// When the others do not come in time, or the store cannot be reached.
    pub fn join(rendezvous: &Rendezvous) -> Result<Self, TchError> {
        let text = |value: &str| CString::new(value).map_err(|e| TchError::Torch(e.to_string()));
        let (host, key_prefix) = (text(&rendezvous.host)?, text(&rendezvous.key_prefix)?);
        let c_rendezvous = CRendezvous {
            host: host.as_ptr(),
            key_prefix: key_prefix.as_ptr(),
            timeout_ms: u64::try_from(rendezvous.timeout.as_millis()).unwrap_or(u64::MAX),
            port: rendezvous.port,
            serves: u8::from(rendezvous.serves),
            rank: rendezvous.rank,
            size: rendezvous.size,
        };
        let mut ranks = null_mut();
        // SAFETY: the strings outlive the call, and `ranks` is a place for the result.
        checked(unsafe { thinkvla_ranks_join(&c_rendezvous, &mut ranks) })?;
        let ranks = NonNull::new(ranks).ok_or_else(|| TchError::Torch("libtorch made no group of processes".into()))?;
        Ok(Self {
            ranks,
            size: rendezvous.size,
            timeout: rendezvous.timeout,
            gpu: None,
        })
    }

    /// Switches to sums on GPUs: from now on tensors of this process's GPU are summed where they are. Every process has
    /// to call it with its own device. Returns false, and changes nothing, unless all of them can do it.
    ///
    /// # Errors
    /// When another process has ended or does not come in time, or NCCL cannot use the GPU.
    pub fn use_gpu(&mut self, device: Device) -> Result<bool, TchError> {
        let index = match device {
            Device::Cuda(index) if nccl::built() => Some(index),
            _ => None,
        };
        if !self.all(index.is_some())? {
            return Ok(false);
        }
        let Some(index) = index else { return Ok(false) };
        let gpu = Gpu::open(self.ranks, index)?;
        gpu.begin(None)?;
        self.everywhere(|| gpu.over())?;
        self.gpu = Some(gpu);
        Ok(true)
    }

    /// Returns the device on which tensors of `device` are summed.
    pub fn place_of_sums(&self, device: Device) -> Device {
        match device {
            Device::Cuda(_) if self.gpu.is_some() => device,
            _ => Device::Cpu,
        }
    }

    /// Sums a contiguous tensor over all processes, in place; every process has to call it. The tensor has to be on
    /// [`place_of_sums`](Self::place_of_sums).
    ///
    /// # Errors
    /// When another process has ended or does not come in time, or the tensor cannot be sent.
    pub fn sum(&self, tensor: &Tensor) -> Result<(), TchError> {
        match (&self.gpu, tensor.device()) {
            (Some(gpu), Device::Cuda(_)) => {
                gpu.begin(Some(tensor))?;
                self.everywhere(|| gpu.over())
            }
            _ => self.sum_on_cpu(tensor),
        }
    }

    fn sum_on_cpu(&self, tensor: &Tensor) -> Result<(), TchError> {
        // SAFETY: both outlive the call, which waits until the tensor is whole.
        checked(unsafe { thinkvla_ranks_sum(self.ranks.as_ptr(), tensor.as_ptr()) })
    }

    /// Returns whether `here` is true in all processes.
    fn all(&self, here: bool) -> Result<bool, TchError> {
        let count = Tensor::f_from_slice(&[i32::from(here)])?;
        self.sum_on_cpu(&count)?;
        Ok(count.f_int64_value(&[0])? == i64::from(self.size))
    }

    /// Returns once `over` is true in all processes. NCCL would wait forever for a process that has died; so the
    /// processes ask one another through Gloo, which notices at once.
    fn everywhere(&self, over: impl Fn() -> Result<bool, TchError>) -> Result<(), TchError> {
        let begun = Instant::now();
        let mut here = false;
        loop {
            let glance = Instant::now();
            while !here {
                here = over()?;
                if here || glance.elapsed() >= LOCAL_POLL_TIME {
                    break;
                }
                sleep(POLL_PERIOD);
            }
            if self.all(here)? {
                return Ok(());
            }
            if begun.elapsed() >= self.timeout {
                return Err(TchError::Torch(format!(
                    "expected the GPUs to be done within {} s, found some that are not",
                    self.timeout.as_secs()
                )));
            }
        }
    }
}

impl Drop for RankGroup {
    fn drop(&mut self) {
        // SAFETY: the shim made it and nobody has it any more.
        unsafe { thinkvla_ranks_leave(self.ranks.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::{scope, spawn};

    /// Two connected processes.
    fn two() -> [RankGroup; 2] {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let join = move |rank| {
            RankGroup::join(&Rendezvous {
                host: "127.0.0.1".into(),
                port,
                serves: rank == 0,
                key_prefix: "test".into(),
                rank,
                size: 2,
                timeout: Duration::from_secs(60),
            })
        };
        let other = spawn(move || join(1).unwrap());
        [join(0).unwrap(), other.join().unwrap()]
    }

    #[test]
    fn a_sum_on_gpus_is_over_when_it_is_over_everywhere() {
        let [early, late] = two();
        let over = &AtomicBool::new(false);
        scope(|scope| {
            scope.spawn(move || {
                sleep(3 * LOCAL_POLL_TIME);
                over.store(true, Ordering::SeqCst);
                late.everywhere(|| Ok(true)).unwrap();
            });
            early.everywhere(|| Ok(true)).unwrap();
            assert!(over.load(Ordering::SeqCst));
        });
    }

    #[test]
    fn a_process_that_dies_during_a_sum_on_gpus_is_missed() {
        let [left, dead] = two();
        spawn(move || drop(dead));
        left.everywhere(|| Ok(false)).unwrap_err(); // NCCL's sum never comes to an end
    }

    #[test]
    fn nobody_uses_gpus_that_another_lacks() {
        let [mut first, mut second] = two();
        let other = spawn(move || second.use_gpu(Device::Cpu).unwrap());
        assert!(!first.use_gpu(Device::Cuda(0)).unwrap());
        assert!(!other.join().unwrap());
        assert_eq!(first.place_of_sums(Device::Cuda(0)), Device::Cpu);
    }
    #[test]
    fn two_processes_never_share_a_gpu() {
        let [mut first, mut second] = two();
        let other = spawn(move || second.use_gpu(Device::Cuda(0)));
        for used in [first.use_gpu(Device::Cuda(0)), other.join().unwrap()] {
            match used {
                Ok(used) => assert!(!used && !nccl::built()),
                Err(error) => assert!(nccl::built(), "{error}"),
            }
        }
    }
}
