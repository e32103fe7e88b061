//! Antialiased separable resampling of 8-bit images in fixed point, bit-exact with Pillow and torchvision.
//!
//! Both compute the same floating-point weights, round them to integers, filter along x, round to bytes, then along y.
//! They differ in the number of fractional bits of a weight ([`Precision`]), which changes 0.4 % of the bytes.

use super::filter_weights::{Axis, AxisKey, Kernel, Precision};
use super::rgb::RgbImage;
use super::weighted_sum::{BLOCK, ColumnPair, Plain, ROWS, Weigh};
#[cfg(target_arch = "x86_64")]
use super::weighted_sum_vnni::Vnni;

/// Resampler that keeps its weights and buffers between calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Resampler {
    horizontal: Option<Axis>,
    vertical: Option<Axis>,
    /// Columns of the `ROWS` rows being filtered.
    columns: Vec<ColumnPair>,
    /// Input rows after the pass along x, padded to whole blocks.
    narrowed: Vec<u8>,
}

/// Size and filter of a resampling.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// Width (px).
    pub width: u32,
    /// Height (px).
    pub height: u32,
    /// Filter shape.
    pub kernel: Kernel,
    /// Precision of the weights.
    pub precision: Precision,
}

impl Resampler {
    /// Resamples `source` to the size of `target` and writes the result into `out`; all sides must be at least 1 pixel.
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
        self.columns
            .resize(source.width().div_ceil(2) as usize, ColumnPair::default());
        let narrowed = Strided {
            bytes: &mut self.narrowed,
            stride,
        };
        let columns = &mut self.columns;
        let passes = Passes {
            source,
            horizontal,
            vertical,
            columns,
            narrowed,
            out,
        };
        #[cfg(target_arch = "x86_64")]
        if let Some(how) = Vnni::try_new() {
            return how.vectorize(Vectorized { how, passes });
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(how) = pulp::x86::V3::try_new() {
            return how.vectorize(Vectorized { how, passes });
        }
        passes.run(Plain);
    }
}

fn axis(kept: &mut Option<Axis>, key: AxisKey) -> &Axis {
    if kept.as_ref().is_some_and(|axis| axis.key() != key) {
        *kept = None;
    }
    kept.get_or_insert_with(|| Axis::new(key))
}

/// Both passes. All code must be inlined into the function that enables the vector instructions, hence the attributes
/// from here on.
struct Passes<'a> {
    source: &'a RgbImage,
    horizontal: &'a Axis,
    vertical: &'a Axis,
    columns: &'a mut [ColumnPair],
    narrowed: Strided<'a>,
    out: &'a mut RgbImage,
}

impl Passes<'_> {
    #[inline(always)]
    fn run(mut self, how: impl Weigh) {
        along_x(self.source, self.horizontal, self.columns, &mut self.narrowed, how);
        along_y(&self.narrowed, self.vertical, self.out, how);
    }
}

/// Both passes, to be run where the instructions of `how` are enabled.
#[cfg(target_arch = "x86_64")]
struct Vectorized<'a, W> {
    how: W,
    passes: Passes<'a>,
}

#[cfg(target_arch = "x86_64")]
impl<W: Weigh> pulp::NullaryFnOnce for Vectorized<'_, W> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.passes.run(self.how);
    }
}

/// Byte rows of length `stride`.
struct Strided<'a> {
    bytes: &'a mut Vec<u8>,
    stride: usize,
}

#[inline(always)]
fn along_x(source: &RgbImage, axis: &Axis, columns: &mut [ColumnPair], out: &mut Strided<'_>, how: impl Weigh) {
    let row_bytes = source.width() as usize * 3;
    let copy_only = axis.copies();
    let strips = source.data().chunks(row_bytes * ROWS);
    for (rows, out_rows) in strips.zip(out.bytes.chunks_mut(out.stride * ROWS)) {
        if copy_only {
            for (from, to) in rows.chunks_exact(row_bytes).zip(out_rows.chunks_exact_mut(out.stride)) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
            continue;
        }
        pair_columns(rows, row_bytes, columns, how);
        for (x, (window, weights)) in axis.iter().enumerate() {
            let seen = columns.get(window.first..window.first + window.len).unwrap_or_default();
            let filtered = how.weigh_columns(seen, weights);
            for (row, pixel) in out_rows.chunks_exact_mut(out.stride).zip(&filtered) {
                // The fourth byte is overwritten by the next pixel, or falls into the padding.
                if let Some(to) = row.get_mut(x * 3..x * 3 + 4) {
                    to.copy_from_slice(pixel);
                }
            }
        }
    }
}

/// Transposes up to `ROWS` rows into columns, four pixels of each row at a time.
#[inline(always)]
fn pair_columns(rows: &[u8], row_bytes: usize, columns: &mut [ColumnPair], how: impl Weigh) {
    for (index, two) in columns.chunks_mut(2).enumerate() {
        for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
            let from = row.get(index * 12..).unwrap_or_default();
            let pairs = match from.first_chunk() {
                Some(pixels) => how.pair(pixels),
                None => {
                    let mut last = [0; 16];
                    last.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                    how.pair(&last)
                }
            };
            for (ColumnPair(rows), pair) in two.iter_mut().zip(pairs) {
                if let Some(to) = rows.get_mut(lane) {
                    *to = pair;
                }
            }
        }
    }
}

#[inline(always)]
fn along_y(narrowed: &Strided<'_>, axis: &Axis, out: &mut RgbImage, how: impl Weigh) {
    let copy_only = axis.copies();
    let stride = narrowed.stride;
    for ((window, weights), (y, out_row)) in axis.iter().zip(out.rows_mut().enumerate()) {
        let start = if copy_only { y } else { 2 * window.first };
        let rows = narrowed.bytes.get(start * stride..).unwrap_or_default();
        if copy_only {
            out_row.iter_mut().zip(rows).for_each(|(to, from)| *to = *from);
            continue;
        }
        for (column, to) in out_row.chunks_mut(BLOCK).enumerate() {
            let blocks = rows
                .chunks_exact(stride)
                .filter_map(|row| row.as_chunks::<BLOCK>().0.get(column));
            let filtered = how.weigh_rows(blocks, weights);
            match to.as_mut_array::<BLOCK>() {
                Some(whole) => *whole = filtered,
                None => to.iter_mut().zip(filtered).for_each(|(to, from)| *to = from),
            }
        }
    }
}
