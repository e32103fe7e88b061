//! Integer weights of one axis of a resampling, as Pillow and torchvision compute them.

use super::weighted_sum::{WeightPair, Weights};

/// Shape of the filter before it is stretched for shrinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Triangle.
    Bilinear,
    /// Keys' cubic with a = -0.5.
    Bicubic,
}

impl Kernel {
    fn radius(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}

/// Fixed-point precision of the integer weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// 22 fractional bits (Pillow).
    Fixed22,
    /// As many fractional bits as let the largest weight of the axis fit 16 bits (torchvision on `uint8`).
    Fit16,
}

/// Parameters that determine the weights of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AxisKey {
    /// Number of input coordinates.
    pub from: u32,
    /// Number of output coordinates.
    pub to: u32,
    /// Filter shape.
    pub kernel: Kernel,
    /// Precision of the weights.
    pub precision: Precision,
}

/// Weights of one axis.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    key: AxisKey,
    /// One per output coordinate.
    windows: Vec<Window>,
    /// Weights of all windows, one after another.
    pairs: Vec<WeightPair>,
    fraction_bits: u32,
}

/// Neighbouring input coordinates in pairs that start at an even one; a coordinate outside the filter has weight 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// First pair.
    pub first: usize,
    /// Number of pairs, of coordinates and of weights.
    pub len: usize,
}

impl Axis {
    /// Computes the weights as Pillow and torchvision do.
    pub(super) fn new(key: AxisKey) -> Self {
        let scale = f64::from(key.from) / f64::from(key.to);
        let stretch = scale.max(1.0);
        let radius = key.kernel.radius() * stretch;
        let mut spans = Vec::with_capacity(key.to as usize);
        let mut exact = Vec::new();
        for i in 0..key.to {
            let centre = scale * (f64::from(i) + 0.5);
            // Truncation towards zero on purpose: both references cast to an integer here.
            let start = (centre - radius + 0.5).max(0.0) as usize;
            let end = ((centre + radius + 0.5) as usize).min(key.from as usize);
            let len = end.saturating_sub(start);
            let first = exact.len();
            exact.extend((start..end).map(|x| key.kernel.at((x as f64 - centre + 0.5) / stretch)));
            let window = exact.get_mut(first..).unwrap_or_default();
            let sum: f64 = window.iter().sum();
            if sum != 0.0 {
                window.iter_mut().for_each(|weight| *weight /= sum);
            }
            spans.push((start, len));
        }
        let fraction_bits = match key.precision {
            Precision::Fixed22 => 22,
            Precision::Fit16 => fraction_bits_of_16(&exact),
        };
        let one = f64::from(1_u32 << fraction_bits);
        let mut rest = exact.as_slice();
        let (mut windows, mut pairs) = (Vec::with_capacity(spans.len()), Vec::new());
        for (start, len) in spans {
            let (own, others) = rest.split_at_checked(len).unwrap_or_default();
            rest = others;
            let at = |x: usize| {
                let weight = x.checked_sub(start).and_then(|i| own.get(i)).copied();
                (weight.unwrap_or_default() * one).round() as i32
            };
            let (first, end) = (start / 2, (start + len).div_ceil(2));
            pairs.extend((first..end).map(|pair| WeightPair::new(at(2 * pair), at(2 * pair + 1))));
            windows.push(Window {
                first,
                len: end - first,
            });
        }
        Self {
            key,
            windows,
            pairs,
            fraction_bits,
        }
    }

    /// Parameters the weights were computed for.
    pub(super) fn key(&self) -> AxisKey {
        self.key
    }

    /// Whether input and output have the same size, so that resampling only copies.
    pub(super) fn copies(&self) -> bool {
        self.key.from == self.key.to
    }

    /// Each output coordinate's window and weights.
    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (Window, Weights<'_>)> {
        let mut pairs = self.pairs.as_slice();
        self.windows.iter().map(move |window| {
            let (own, others) = pairs.split_at_checked(window.len).unwrap_or_default();
            pairs = others;
            let weights = Weights {
                pairs: own,
                fraction_bits: self.fraction_bits,
            };
            (*window, weights)
        })
    }
}

fn fraction_bits_of_16(weights: &[f64]) -> u32 {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let fits = |bits: u32| ((0.5 + largest * f64::from(1_u32 << (bits + 1))) as i32) < 1 << 15;
    (0..22).find(|bits| !fits(*bits)).unwrap_or(22)
}
