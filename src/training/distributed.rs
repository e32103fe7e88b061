//! Processes that train together: the rank of this one, and sums over all.

use std::env;
use std::time::Duration;

use tch::{Device, Kind, TchError, Tensor};

use crate::torch_ext::adamw::set_gradient;
use crate::torch_ext::process_group::{RankGroup, Rendezvous};

use super::batch::LossCounts;
use super::error::RunError;
use crate::model::trainable::NetworkParameters;

/// Maximum wait for another process: it may be writing a large checkpoint, or measuring.
const PEER_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Maximum number of values that are summed at once.
const BUCKET: usize = 16 << 20;

/// This process among those that train together.
#[derive(Debug)]
pub struct ProcessGroup {
    rank: usize,
    size: usize,
    /// Index of the process on this machine.
    local: usize,
    group: Option<RankGroup>,
}

impl ProcessGroup {
    /// Returns a single process.
    pub fn alone() -> Self {
        Self {
            rank: 0,
            size: 1,
            local: 0,
            group: None,
        }
    }

    /// Joins the group that torchrun describes in `RANK`, `LOCAL_RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`;
    /// waits for the other processes. Without `WORLD_SIZE` this process is alone.
    ///
    /// # Errors
    /// When a variable is missing or invalid, or the others do not join.
    pub fn of_environment() -> Result<Self, RunError> {
        let size: usize = match env::var("WORLD_SIZE") {
            Ok(_) => number("WORLD_SIZE")?,
            Err(_) => return Ok(Self::alone()),
        };
        let rank: usize = number("RANK")?;
        if size == 1 {
            return Ok(Self::alone());
        }
        if rank >= size {
            return Err(RunError::Ranks(format!(
                "RANK: expected less than WORLD_SIZE, {size}, found {rank}"
            )));
        }
        // torchrun's agent has a store of its own, and restarts the group after a failure.
        let agent = env::var("TORCHELASTIC_USE_AGENT_STORE").is_ok_and(|value| value == "True");
        let attempt = env::var("TORCHELASTIC_RESTART_COUNT").unwrap_or_default();
        let rendezvous = Rendezvous {
            host: variable("MASTER_ADDR")?,
            port: number("MASTER_PORT")?,
            serves: rank == 0 && !agent,
            key_prefix: format!("thinkvla/{attempt}"),
            rank: i32::try_from(rank).unwrap_or(i32::MAX),
            size: i32::try_from(size).unwrap_or(i32::MAX),
            timeout: PEER_TIMEOUT,
        };
        let group = RankGroup::join(&rendezvous).map_err(|error| {
            RunError::Ranks(format!(
                "rank {rank} of {size} cannot meet the others at {}:{}: {error}",
                rendezvous.host, rendezvous.port
            ))
        })?;
        Ok(Self {
            rank,
            size,
            local: number("LOCAL_RANK").unwrap_or(rank),
            group: Some(group),
        })
    }

    /// Returns whether this process is the one that writes files.
    pub fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Returns the index of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the number of processes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the device of this process: each process of a machine has a GPU of its own. Gradients stay there when
    /// they are summed, if this program can; all processes must call it.
    ///
    /// # Errors
    /// When there is no GPU for this process, or it cannot be used together with the others'.
    pub fn assign_device(&mut self, device: Device) -> Result<Device, RunError> {
        let Some(group) = &mut self.group else {
            return Ok(device);
        };
        let device = match device {
            Device::Cuda(_) => Device::Cuda(self.local),
            other => other,
        };
        let gpus = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
        if device != Device::Cpu && self.local >= gpus {
            return Err(RunError::Ranks(format!(
                "rank {} of {}: expected a GPU for process {} (from 0) of this machine, found {gpus} GPUs; start fewer \
                 with --nproc-per-node, or set device: cpu",
                self.rank, self.size, self.local
            )));
        }
        let together = group.use_gpu(device).map_err(|error| {
            RunError::Ranks(format!(
                "rank {} of {} cannot use its GPU together with the others: {error}",
                self.rank, self.size
            ))
        })?;
        if device != Device::Cpu && !together && self.rank == 0 {
            tracing::warn!(
                "gradients go through the CPU's memory: NCCL would need every process on a GPU, and a program built with it"
            );
        }
        Ok(device)
    }

    /// Sums numbers over all processes.
    ///
    /// # Errors
    /// When another process is lost.
    pub fn sum(&self, numbers: &mut [f64]) -> Result<(), RunError> {
        let Some(group) = &self.group else { return Ok(()) };
        let tensor = Tensor::f_from_slice(numbers)?;
        group.sum(&tensor).map_err(|error| self.lost(&error))?;
        Ok(tensor.f_copy_data(numbers, numbers.len())?)
    }

    /// Returns whether `here` is true in any process.
    ///
    /// # Errors
    /// When another process is lost.
    pub fn any(&self, here: bool) -> Result<bool, RunError> {
        let mut count = [f64::from(u8::from(here))];
        self.sum(&mut count)?;
        Ok(count != [0.0])
    }

    /// Returns the denominators of a step's means, summed over all processes.
    ///
    /// # Errors
    /// When another process is lost.
    pub fn count(&self, own: LossCounts) -> Result<LossCounts, RunError> {
        let mut all = [own.actions, own.patches, own.distilled, own.tokens];
        self.sum(&mut all)?;
        let [actions, patches, distilled, tokens] = all;
        Ok(LossCounts {
            actions,
            patches,
            distilled,
            tokens,
        })
    }

    /// Sums the gradients of trained tensors over all processes. A tensor that has none in any process is left without.
    ///
    /// # Errors
    /// When another process is lost.
    pub fn gradients(&self, parameters: &NetworkParameters) -> Result<(), RunError> {
        let Some(group) = &self.group else { return Ok(()) };
        let _no_grad = tch::no_grad_guard();
        let trained: Vec<&Tensor> = parameters.trained().map(|one| &one.tensor).collect();
        let mut learning: Vec<f64> = trained
            .iter()
            .map(|tensor| f64::from(u8::from(tensor.grad().defined())))
            .collect();
        self.sum(&mut learning)?;
        let mut bucket = Bucket::default();
        for (tensor, _) in trained.into_iter().zip(learning).filter(|(_, ranks)| *ranks > 0.0) {
            if !tensor.grad().defined() {
                set_gradient(tensor, &tensor.f_zeros_like()?)?;
            }
            let gradient = tensor.grad();
            if !bucket.fits(&gradient)? {
                bucket.sum(group).map_err(|error| self.lost(&error))?;
            }
            bucket.put(gradient);
        }
        bucket.sum(group).map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &TchError) -> RunError {
        RunError::Ranks(format!(
            "rank {} of {} has lost the others: {error}; start all of them again with --resume, they go on from the \
             last checkpoint",
            self.rank, self.size
        ))
    }
}

/// Gradients that are summed together.
#[derive(Default)]
struct Bucket {
    gradients: Vec<Tensor>,
    values: usize,
}

impl Bucket {
    fn fits(&self, gradient: &Tensor) -> Result<bool, TchError> {
        let Some(first) = self.gradients.first() else {
            return Ok(true);
        };
        Ok(self.values + gradient.numel() <= BUCKET && first.f_kind()? == gradient.f_kind()?)
    }

    fn put(&mut self, gradient: Tensor) {
        self.values += gradient.numel();
        self.gradients.push(gradient);
    }

    /// Sums over the processes, in 32 bits if gradients have fewer, and empties the bucket.
    fn sum(&mut self, group: &RankGroup) -> Result<(), TchError> {
        let gradients = std::mem::take(self).gradients;
        let Some(first) = gradients.first() else {
            return Ok(());
        };
        let kind = match first.f_kind()? {
            Kind::Double => Kind::Double,
            _ => Kind::Float,
        };
        let flat: Vec<Tensor> = gradients
            .iter()
            .map(|gradient| gradient.f_reshape([-1]))
            .collect::<Result<_, _>>()?;
        let place = group.place_of_sums(first.device());
        let flat = Tensor::f_cat(&flat, 0)?.f_to_device(place)?.f_to_kind(kind)?;
        group.sum(&flat)?;
        let mut start = 0;
        for mut gradient in gradients {
            let length = gradient.numel() as i64;
            gradient.f_copy_(&flat.f_narrow(0, start, length)?.f_view_as(&gradient)?)?;
            start += length;
        }
        Ok(())
    }
}

fn variable(name: &str) -> Result<String, RunError> {
    env::var(name).map_err(|_| {
        RunError::Ranks(format!(
            "{name}: expected it beside WORLD_SIZE, found none; start the processes with torchrun"
        ))
    })
}

fn number<T: std::str::FromStr>(name: &str) -> Result<T, RunError> {
    let text = variable(name)?;
    text.parse()
        .map_err(|_| RunError::Ranks(format!("{name}: expected a number, found {text}")))
}
