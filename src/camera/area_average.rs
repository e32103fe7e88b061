//! Shrinks images by averaging areas, bit-exact with OpenCV's `INTER_AREA`.
//!
//! Like OpenCV it sums integers where both ratios are whole numbers, and otherwise weights in single precision.

use super::rgb::RgbImage;

/// Shrinks `source` to `width` × `height` (px), neither larger than the source, and writes the result into `out`.
pub(super) fn shrink(source: &RgbImage, width: u32, height: u32, out: &mut RgbImage) {
    let whole = |from: u32, to: u32| from.is_multiple_of(to).then(|| (from / to) as usize);
    out.reset(width, height);
    match (whole(source.width(), width), whole(source.height(), height)) {
        (Some(1), Some(1)) => out.data_mut().copy_from_slice(source.data()),
        (Some(x), Some(y)) => shrink_whole(source, x, y, out),
        _ => shrink_fractional(source, out),
    }
}

fn shrink_whole(source: &RgbImage, ratio_x: usize, ratio_y: usize, out: &mut RgbImage) {
    let scale = 1.0_f32 / (ratio_x * ratio_y) as f32;
    let row_bytes = source.width() as usize * 3;
    for (band, out_row) in source.data().chunks_exact(row_bytes * ratio_y).zip(out.rows_mut()) {
        for (x, to) in out_row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let mut sums = [0_u32; 3];
            for row in band.chunks_exact(row_bytes) {
                let cell = row.get(x * ratio_x * 3..(x + 1) * ratio_x * 3).unwrap_or_default();
                for pixel in cell.as_chunks::<3>().0 {
                    sums.iter_mut()
                        .zip(pixel)
                        .for_each(|(sum, byte)| *sum += u32::from(*byte));
                }
            }
            *to = match (ratio_x, ratio_y) {
                // OpenCV has a separate path for halving, which rounds half up.
                (2, 2) => sums.map(|sum| ((sum + 2) >> 2) as u8),
                _ => sums.map(|sum| (sum as f32 * scale).round_ties_even() as u8),
            };
        }
    }
}

/// Weight of one input coordinate in an output coordinate.
#[derive(Debug, Clone, Copy)]
struct Share {
    from: usize,
    weight: f32,
}

/// Computes the input coordinates and weights of every output coordinate.
fn shares(from: u32, to: u32) -> Vec<Vec<Share>> {
    /// Overlaps below this (input coordinates) are rounding errors of the ratio.
    const MIN_OVERLAP: f64 = 1e-3;
    let scale = 1.0 / (f64::from(to) / f64::from(from));
    let cell_of = |i: u32| {
        let (low, high) = (f64::from(i) * scale, f64::from(i) * scale + scale);
        let cell = scale.min(f64::from(from) - low);
        let last_whole = (high.floor() as usize).min(from as usize - 1);
        let first_whole = (low.ceil() as usize).min(last_whole);
        let before = first_whole as f64 - low;
        let after = high - last_whole as f64;
        let mut cells = Vec::new();
        if before > MIN_OVERLAP {
            cells.push(Share {
                from: first_whole - 1,
                weight: (before / cell) as f32,
            });
        }
        let weight = (1.0 / cell) as f32;
        cells.extend((first_whole..last_whole).map(|from| Share { from, weight }));
        if after > MIN_OVERLAP {
            cells.push(Share {
                from: last_whole,
                weight: (after.min(1.0).min(cell) / cell) as f32,
            });
        }
        cells
    };
    (0..to).map(cell_of).collect()
}

fn shrink_fractional(source: &RgbImage, out: &mut RgbImage) {
    let columns = shares(source.width(), out.width());
    let rows = shares(source.height(), out.height());
    let row_bytes = source.width() as usize * 3;
    let mut narrowed = vec![[0.0_f32; 3]; columns.len()];
    let mut sums = narrowed.clone();
    for (row_shares, out_row) in rows.iter().zip(out.rows_mut()) {
        sums.fill([0.0; 3]);
        for row in row_shares {
            let bytes = source
                .data()
                .get(row.from * row_bytes..(row.from + 1) * row_bytes)
                .unwrap_or_default();
            narrow(bytes, &columns, &mut narrowed);
            for (sum, value) in sums.as_flattened_mut().iter_mut().zip(narrowed.as_flattened()) {
                *sum += value * row.weight;
            }
        }
        for (to, sum) in out_row.iter_mut().zip(sums.as_flattened()) {
            *to = sum.round_ties_even().clamp(0.0, 255.0) as u8;
        }
    }
}

fn narrow(row: &[u8], columns: &[Vec<Share>], out: &mut [[f32; 3]]) {
    let (pixels, _) = row.as_chunks::<3>();
    for (shares, to) in columns.iter().zip(out) {
        *to = [0.0; 3];
        for share in shares {
            let Some(pixel) = pixels.get(share.from) else { continue };
            to.iter_mut()
                .zip(pixel)
                .for_each(|(to, byte)| *to += f32::from(*byte) * share.weight);
        }
    }
}
