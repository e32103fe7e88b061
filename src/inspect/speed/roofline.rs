//! Measures the time of the matrix products alone: a lower bound for any program that computes them.

use std::time::{Duration, Instant};

use tch::{Device, Kind, TchError, Tensor};

use crate::stats::percentile;
use crate::torch_ext::linear::{self, Epilogue, Packed};

use super::pass_products::{PassStage, Product, Work};

/// Total size of the weights between which the measurement alternates (bytes), so that they come from memory and not
/// from a cache.
const POOL_BYTES: i64 = 256 << 20;
/// Largest number of weights of one shape.
const LARGEST_POOL: i64 = 24;
/// Smallest number of repetitions and smallest duration of the measurement of a product.
const REPEATS: usize = 12;
const MIN_MEASURED_TIME: Duration = Duration::from_millis(60);
/// Memory read to measure the bandwidth (bytes), far larger than any cache.
const BANDWIDTH_BYTES: i64 = 512 << 20;

/// A product with its measured time.
#[derive(Debug, Clone, Copy)]
pub struct Timed {
    /// The product and how often it occurs.
    pub work: Work,
    /// Median time of one product (ms).
    pub ms: f64,
}

impl Timed {
    /// Returns the rate (GFLOP/s).
    pub fn gflops(&self) -> f64 {
        self.work.product.flop() / self.ms / 1e6
    }

    /// Returns the time of all occurrences in one pass (ms).
    pub fn total_ms(&self) -> f64 {
        self.ms * self.work.times as f64
    }
}

/// Returns the sum of the times of a stage's products (ms).
pub fn floor_ms(timed: &[Timed], stage: PassStage) -> f64 {
    timed
        .iter()
        .filter(|t| t.work.stage == stage)
        .map(Timed::total_ms)
        .sum()
}

/// Times every product alone, in the fastest way on this machine.
///
/// # Errors
/// When libtorch fails.
pub fn measure(all: &[Work], backbone: Kind, device: Device) -> Result<Vec<Timed>, TchError> {
    all.iter()
        .map(|work| {
            let kind = match work.stage {
                PassStage::Head => Kind::Float,
                PassStage::Vision | PassStage::Language => backbone,
            };
            let ms = match work.product.number {
                1 => linear_ms(work.product, kind, device)?,
                _ => batched_ms(work.product, kind, device)?,
            };
            Ok(Timed { work: *work, ms })
        })
        .collect()
}

fn linear_ms(p: Product, kind: Kind, device: Device) -> Result<f64, TchError> {
    let bytes = p.columns * p.inner * kind.elt_size_in_bytes() as i64;
    let count = (POOL_BYTES / bytes.max(1)).clamp(2, LARGEST_POOL);
    let x = Tensor::f_randn([p.rows, p.inner], (kind, device))?;
    let mut weights = Vec::new();
    for _ in 0..count {
        weights.push(Tensor::f_empty([p.columns, p.inner], (kind, device))?.f_fill_(0.02)?);
    }
    if !linear::available(kind, device) {
        return median_ms(device, weights.iter().cycle(), |w| x.f_linear(w, None::<&Tensor>));
    }
    let packed = weights.iter().map(Packed::new).collect::<Result<Vec<_>, _>>()?;
    drop(weights);
    median_ms(device, packed.iter().cycle(), |w| {
        w.forward(&x, None, Epilogue::Nothing)
    })
}

fn batched_ms(p: Product, kind: Kind, device: Device) -> Result<f64, TchError> {
    let a = Tensor::f_randn([p.number, p.rows, p.inner], (kind, device))?;
    let b = Tensor::f_randn([p.number, p.inner, p.columns], (kind, device))?;
    median_ms(device, std::iter::repeat(()), |()| a.f_bmm(&b))
}

fn median_ms<T>(
    device: Device,
    mut turns: impl Iterator<Item = T>,
    mut step: impl FnMut(T) -> Result<Tensor, TchError>,
) -> Result<f64, TchError> {
    let (mut times, start) = (Vec::new(), Instant::now());
    while let Some(turn) = turns
        .next()
        .filter(|_| times.len() < REPEATS || start.elapsed() < MIN_MEASURED_TIME)
    {
        finish(device);
        let begin = Instant::now();
        let _result = step(turn)?;
        finish(device);
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    // The first calls create the kernels.
    Ok(percentile(times.get(2..).unwrap_or_default(), 50.0).unwrap_or(f64::NAN))
}

/// Measures the bandwidth of reading memory (GB/s).
///
/// # Errors
/// When libtorch fails.
pub fn bandwidth(device: Device) -> Result<f64, TchError> {
    let values = Tensor::f_ones([BANDWIDTH_BYTES / 4], (Kind::Float, device))?;
    let ms = median_ms(device, std::iter::repeat(()), |()| values.f_sum(Kind::Float))?;
    Ok(BANDWIDTH_BYTES as f64 / ms / 1e6)
}

/// Waits until a GPU has completed all queued work.
pub fn finish(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}
