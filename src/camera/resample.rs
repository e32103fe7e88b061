//! Antialiased separable resampling of 8-bit images in fixed point, to the bit as Pillow and torchvision do it.
//!
//! Both compute the same floating-point weights, round them to integers, filter along x, round to bytes, then along y.
//! They differ in how many fractional bits a weight keeps ([`Precision`]), which shows in 0.4 % of the bytes.

use super::rgb::RgbImage;
use super::weigh::{BLOCK, Block, Plain, Weigh, WeightPair, Weights};

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

/// How weights become integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// 22 fractional bits (Pillow).
    Fixed22,
    /// As many fractional bits as let the largest weight of the axis fit 16 bits (torchvision on `uint8`).
    Fit16,
}

/// What identifies the weights of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AxisKey {
    from: u32,
    to: u32,
    kernel: Kernel,
    precision: Precision,
}

/// Weights of one axis.
#[derive(Debug, Clone)]
struct Axis {
    key: AxisKey,
    /// One per output coordinate.
    windows: Vec<Window>,
    /// Weights of all windows, one after another.
    weights: Vec<i32>,
    /// The same, two by two within each window.
    pairs: Vec<WeightPair>,
    fraction_bits: u32,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    /// First input coordinate.
    start: usize,
    /// Input coordinates, and weights, used.
    len: usize,
}

impl Axis {
    fn new(key: AxisKey) -> Self {
        let scale = f64::from(key.from) / f64::from(key.to);
        let stretch = scale.max(1.0);
        let radius = key.kernel.radius() * stretch;
        let mut windows = Vec::with_capacity(key.to as usize);
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
            windows.push(Window { start, len });
        }
        let fraction_bits = match key.precision {
            Precision::Fixed22 => 22,
            Precision::Fit16 => fraction_bits_of_16(&exact),
        };
        let one = f64::from(1_u32 << fraction_bits);
        let weights: Vec<i32> = exact.iter().map(|weight| (weight * one).round() as i32).collect();
        let mut rest = weights.as_slice();
        let mut pairs = Vec::with_capacity(weights.len() / 2 + windows.len());
        for window in &windows {
            let (own, others) = rest.split_at_checked(window.len).unwrap_or_default();
            rest = others;
            pairs.extend(own.chunks(2).map(|two| match *two {
                [first, second] => WeightPair::new(first, second),
                _ => WeightPair::new(own.last().copied().unwrap_or_default(), 0),
            }));
        }
        Self {
            key,
            windows,
            weights,
            pairs,
            fraction_bits,
        }
    }

    /// Each output coordinate's window and weights.
    #[inline(always)]
    fn iter(&self) -> impl Iterator<Item = (Window, Weights<'_>)> {
        let (mut plain, mut pairs) = (self.weights.as_slice(), self.pairs.as_slice());
        self.windows.iter().map(move |window| {
            let (own, others) = plain.split_at_checked(window.len).unwrap_or_default();
            let (own_pairs, other_pairs) = pairs.split_at_checked(window.len.div_ceil(2)).unwrap_or_default();
            (plain, pairs) = (others, other_pairs);
            let weights = Weights {
                plain: own,
                pairs: own_pairs,
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

/// Resamples and keeps its weights and buffers between calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Resampler {
    horizontal: Option<Axis>,
    vertical: Option<Axis>,
    /// For each column, red, green, blue and an unused byte of it in each of `ROWS` rows.
    strip: Vec<Block>,
    /// Input rows after the pass along x, padded to whole blocks.
    narrowed: Vec<u8>,
}

/// Size and filter of a resampling.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// Width [px].
    pub width: u32,
    /// Height [px].
    pub height: u32,
    /// Filter shape.
    pub kernel: Kernel,
    /// Arithmetic.
    pub precision: Precision,
}

/// Rows filtered together along x.
const ROWS: usize = BLOCK / 4;

impl Resampler {
    /// Writes `source`, which has at least one pixel, at another size of at least one pixel into `out`.
    pub(super) fn run(&mut self, source: &RgbImage, target: Target, out: &mut RgbImage) {
        let Target {
            width,
            height,
            kernel,
            precision,
        } = target;
        let key = |from, to| AxisKey {
            from,
            to,
            kernel,
            precision,
        };
        let horizontal = axis(&mut self.horizontal, key(source.width(), width));
        let vertical = axis(&mut self.vertical, key(source.height(), height));
        out.reset(width, height);
        let stride = (width as usize * 3 + 1).next_multiple_of(BLOCK);
        self.narrowed.resize(stride * source.height() as usize, 0);
        self.strip.resize(source.width() as usize, [0; BLOCK]);
        let narrowed = Strided {
            bytes: &mut self.narrowed,
            stride,
        };
        let strip = &mut self.strip;
        let passes = Passes {
            source,
            horizontal,
            vertical,
            strip,
            narrowed,
            out,
        };
        #[cfg(target_arch = "x86_64")]
        if let Some(v3) = pulp::x86::V3::try_new() {
            return v3.vectorize(V3Passes { v3, passes });
        }
        passes.run(Plain);
    }
}

fn axis(kept: &mut Option<Axis>, key: AxisKey) -> &Axis {
    if kept.as_ref().is_some_and(|axis| axis.key != key) {
        *kept = None;
    }
    kept.get_or_insert_with(|| Axis::new(key))
}

/// Both passes. All of it has to be inlined where AVX2 is switched on, hence the attributes from here on.
struct Passes<'a> {
    source: &'a RgbImage,
    horizontal: &'a Axis,
    vertical: &'a Axis,
    strip: &'a mut [Block],
    narrowed: Strided<'a>,
    out: &'a mut RgbImage,
}

impl Passes<'_> {
    #[inline(always)]
    fn run(mut self, how: impl Weigh) {
        along_x(self.source, self.horizontal, self.strip, &mut self.narrowed, how);
        along_y(&self.narrowed, self.vertical, self.out, how);
    }
}

/// Both passes with AVX2.
#[cfg(target_arch = "x86_64")]
struct V3Passes<'a> {
    v3: pulp::x86::V3,
    passes: Passes<'a>,
}

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for V3Passes<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.passes.run(self.v3);
    }
}

/// Bytes in rows of `stride`.
struct Strided<'a> {
    bytes: &'a mut Vec<u8>,
    stride: usize,
}

#[inline(always)]
fn along_x(source: &RgbImage, axis: &Axis, strip: &mut [Block], out: &mut Strided<'_>, how: impl Weigh) {
    let row_bytes = source.width() as usize * 3;
    let copy_only = axis.key.from == axis.key.to;
    let strips = source.data().chunks(row_bytes * ROWS);
    for (rows, out_rows) in strips.zip(out.bytes.chunks_mut(out.stride * ROWS)) {
        if copy_only {
            for (from, to) in rows.chunks_exact(row_bytes).zip(out_rows.chunks_exact_mut(out.stride)) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
            continue;
        }
        for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
            interleave(row, lane, strip);
        }
        for (x, (window, weights)) in axis.iter().enumerate() {
            let columns = strip.get(window.start..window.start + window.len).unwrap_or_default();
            let filtered = how.weigh(columns.iter(), weights);
            for (row, pixel) in out_rows.chunks_exact_mut(out.stride).zip(filtered.as_chunks::<4>().0) {
                // The fourth byte is overwritten by the next pixel, or falls into the padding.
                if let Some(to) = row.get_mut(x * 3..x * 3 + 4) {
                    to.copy_from_slice(pixel);
                }
            }
        }
    }
}

/// Puts one row into its lane of the strip, four pixels at a time.
#[inline(always)]
fn interleave(row: &[u8], lane: usize, strip: &mut [Block]) {
    let put = |column: &mut Block, pixel: [u8; 4]| {
        if let Some(to) = column.as_chunks_mut::<4>().0.get_mut(lane) {
            *to = pixel;
        }
    };
    let (fours, rest) = row.as_chunks::<12>();
    let (columns, rest_columns) = strip.as_chunks_mut::<4>();
    for ([a, b, c, d, e, f, g, h, i, j, k, l], [first, second, third, fourth]) in fours.iter().zip(columns) {
        // Fourth bytes are unused; taking a neighbour's makes each pixel one load.
        put(first, [*a, *b, *c, *d]);
        put(second, [*d, *e, *f, *g]);
        put(third, [*g, *h, *i, *j]);
        put(fourth, [*j, *k, *l, 0]);
    }
    for ([r, g, b], column) in rest.as_chunks::<3>().0.iter().zip(rest_columns) {
        put(column, [*r, *g, *b, 0]);
    }
}

#[inline(always)]
fn along_y(narrowed: &Strided<'_>, axis: &Axis, out: &mut RgbImage, how: impl Weigh) {
    let copy_only = axis.key.from == axis.key.to;
    let stride = narrowed.stride;
    for ((window, weights), (y, out_row)) in axis.iter().zip(out.rows_mut().enumerate()) {
        let (start, len) = if copy_only { (y, 1) } else { (window.start, window.len) };
        let rows = start * stride..(start + len) * stride;
        let rows = narrowed.bytes.get(rows).unwrap_or_default();
        if copy_only {
            out_row.iter_mut().zip(rows).for_each(|(to, from)| *to = *from);
            continue;
        }
        for (column, to) in out_row.chunks_mut(BLOCK).enumerate() {
            let blocks = rows
                .chunks_exact(stride)
                .filter_map(|row| row.as_chunks::<BLOCK>().0.get(column));
            let filtered = how.weigh(blocks, weights);
            match to.as_mut_array::<BLOCK>() {
                Some(whole) => *whole = filtered,
                None => to.iter_mut().zip(filtered).for_each(|(to, from)| *to = from),
            }
        }
    }
}
