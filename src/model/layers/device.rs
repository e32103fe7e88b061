//! Device on which the network runs.

use tch::Device;

use crate::model::error::ModelError;

/// Device that the user chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU where there is one, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this index.
    Cuda(usize),
}

/// Loads libtorch's CUDA part where it is installed, without which everything runs on the CPU; returns whether it was
/// found. Must be called first in `main`, because libtorch looks for its CUDA part only once.
pub fn load_cuda() -> bool {
    super::system_calls::load_library(c"libtorch_cuda.so")
}

/// Sets the CPU threads of one operation, for the whole process.
pub fn set_threads(threads: u16) {
    tch::set_num_threads(i32::from(threads.max(1)));
}

/// Returns a field of the machine's memory information, e.g. `MemTotal` or `MemAvailable` (bytes), if the system
/// reports it.
pub fn machine_memory(name: &str) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

impl std::str::FromStr for DeviceChoice {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", index)) => index.parse().map(Self::Cuda).map_err(|error| ModelError::Device {
                device: text.to_owned(),
                error,
            }),
            _ => Err(ModelError::choice("auto, cpu, cuda or cuda:N", text)),
        }
    }
}

impl DeviceChoice {
    /// Returns the device, if this machine has it.
    ///
    /// # Errors
    /// When the chosen GPU cannot be used.
    pub fn resolve(self) -> Result<Device, ModelError> {
        let gpus = if tch::Cuda::is_available() {
            usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
        } else {
            0
        };
        match self {
            Self::Auto if gpus > 0 => Ok(Device::Cuda(0)),
            Self::Auto | Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) if index < gpus => Ok(Device::Cuda(index)),
            Self::Cuda(index) => Err(ModelError::Observation {
                expected: format!("GPU {index}"),
                found: format!("{gpus} usable GPUs; install libtorch's CUDA part and a driver, or choose cpu"),
            }),
        }
    }
}
