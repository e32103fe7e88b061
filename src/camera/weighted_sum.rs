//! Weighted sums of pixels in 32-bit integers: the inner loops of resampling.
//!
//! Three implementations give the same integers: a portable one, one for AVX2 and one for AVX-512. The latter two multiply
//! pairs of 16-bit numbers, so they take weights in pairs, each weight split into two halves.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256i;

/// Number of bytes filtered at once along y.
pub(super) const BLOCK: usize = 32;

/// Block of neighbouring bytes of one row.
pub(super) type Block = [u8; BLOCK];

/// Number of rows filtered at once along x.
pub(super) const ROWS: usize = 8;

/// Two neighbouring pixels as 16-bit numbers: both reds, both greens, both blues, and two unused.
pub(super) type PixelPair = [i16; 8];

/// Two neighbouring columns in each of [`ROWS`] rows.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct ColumnPair(pub [PixelPair; ROWS]);

/// Number of bits of the lower half of a split weight.
pub(super) const LOW_BITS: u32 = 11;

/// Weights of one window in fixed point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    /// Pairs of weights for neighbouring coordinates.
    pub pairs: &'a [WeightPair],
    /// Number of fractional bits.
    pub fraction_bits: u32,
}

/// Two neighbouring weights, whole and split into `high · 2^11 + low`; each half packs two 16-bit numbers into 32 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightPair {
    whole: [i32; 2],
    /// High halves of both weights.
    pub high: i32,
    /// Low halves of both weights.
    pub low: i32,
}

impl WeightPair {
    /// Splits two weights of magnitude below 2^26, which holds for weights with 22 fractional bits.
    pub(super) fn new(first: i32, second: i32) -> Self {
        let join = |first: i32, second: i32| first & 0xffff | second << 16;
        let low = (1 << LOW_BITS) - 1;
        Self {
            whole: [first, second],
            high: join(first >> LOW_BITS, second >> LOW_BITS),
            low: join(first & low, second & low),
        }
    }
}

/// Implementation of the weighted sums. Sums are rounded half up to whole numbers and clipped to bytes.
pub(super) trait Weigh: Copy {
    /// Pairs the first and the second, the third and the fourth of the RGB pixels that `pixels` begins with.
    fn pair(self, pixels: &[u8; 16]) -> [PixelPair; 2];

    /// Computes the weighted sum of columns for each row: red, green, blue, and an unused byte.
    fn weigh_columns(self, columns: &[ColumnPair], weights: Weights<'_>) -> [[u8; 4]; ROWS];

    /// Computes the weighted sum of blocks, one from each row. A missing last block has weight 0.
    fn weigh_rows<'a>(self, blocks: impl Iterator<Item = &'a Block>, weights: Weights<'_>) -> Block;
}

/// Portable implementation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain;

impl Weigh for Plain {
    #[inline(always)]
    fn pair(self, pixels: &[u8; 16]) -> [PixelPair; 2] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = pixels.map(i16::from);
        [[a, d, b, e, c, f, 0, 0], [g, j, h, k, i, l, 0, 0]]
    }

    #[inline(always)]
    fn weigh_columns(self, columns: &[ColumnPair], weights: Weights<'_>) -> [[u8; 4]; ROWS] {
        let mut sums = [[1_i32 << (weights.fraction_bits - 1); 4]; ROWS];
        for (ColumnPair(rows), WeightPair { whole, .. }) in columns.iter().zip(weights.pairs) {
            let [first, second] = whole;
            for (sums, pixels) in sums.iter_mut().zip(rows) {
                for (sum, [left, right]) in sums.iter_mut().zip(pixels.as_chunks::<2>().0) {
                    *sum += i32::from(*left) * first + i32::from(*right) * second;
                }
            }
        }
        sums.map(|sums| sums.map(|sum| (sum >> weights.fraction_bits).clamp(0, 255) as u8))
    }

    #[inline(always)]
    fn weigh_rows<'a>(self, blocks: impl Iterator<Item = &'a Block>, weights: Weights<'_>) -> Block {
        let mut sums = [1_i32 << (weights.fraction_bits - 1); BLOCK];
        for (block, weight) in blocks.zip(weights.pairs.iter().flat_map(|pair| pair.whole)) {
            for (sum, byte) in sums.iter_mut().zip(block) {
                *sum += i32::from(*byte) * weight;
            }
        }
        sums.map(|sum| (sum >> weights.fraction_bits).clamp(0, 255) as u8)
    }
}

#[cfg(target_arch = "x86_64")]
impl Weigh for pulp::x86::V3 {
    #[inline(always)]
    fn pair(self, pixels: &[u8; 16]) -> [PixelPair; 2] {
        // A negative index gives 0.
        const ORDER: [i8; 32] = [
            0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, //
            6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
        ];
        let twice = self.avx2._mm256_broadcastsi128_si256(pulp::cast(*pixels));
        pulp::cast(self.avx2._mm256_shuffle_epi8(twice, pulp::cast(ORDER)))
    }

    #[inline(always)]
    fn weigh_columns(self, columns: &[ColumnPair], weights: Weights<'_>) -> [[u8; 4]; ROWS] {
        let (avx, avx2) = (self.avx, self.avx2);
        let half = avx._mm256_set1_epi32(1 << (weights.fraction_bits - 1));
        let (mut high, mut low) = ([avx._mm256_setzero_si256(); 4], [half; 4]);
        for (ColumnPair(rows), pair) in columns.iter().zip(weights.pairs) {
            let by_high = avx._mm256_set1_epi32(pair.high);
            let by_low = avx._mm256_set1_epi32(pair.low);
            for ((high, low), two_rows) in high.iter_mut().zip(&mut low).zip(rows.as_chunks::<2>().0) {
                let pixels = pulp::cast(*two_rows);
                *high = avx2._mm256_add_epi32(*high, avx2._mm256_madd_epi16(pixels, by_high));
                *low = avx2._mm256_add_epi32(*low, avx2._mm256_madd_epi16(pixels, by_low));
            }
        }
        // Packing leaves the even rows in the lower half and the odd rows in the upper.
        let packed = rounded(self, high, low, weights.fraction_bits);
        pulp::cast(avx2._mm256_permutevar8x32_epi32(packed, pulp::cast([0, 4, 1, 5, 2, 6, 3, 7])))
    }

    #[inline(always)]
    fn weigh_rows<'a>(self, mut blocks: impl Iterator<Item = &'a Block>, weights: Weights<'_>) -> Block {
        let (avx, avx2) = (self.avx, self.avx2);
        let zero = avx._mm256_setzero_si256();
        let half = avx._mm256_set1_epi32(1 << (weights.fraction_bits - 1));
        let (mut high, mut low) = ([zero; 4], [half; 4]);
        for pair in weights.pairs {
            let Some(first) = blocks.next() else { break };
            let second = blocks.next().unwrap_or(first);
            let (first, second) = (pulp::cast(*first), pulp::cast(*second));
            let by_high = avx._mm256_set1_epi32(pair.high);
            let by_low = avx._mm256_set1_epi32(pair.low);
            let early = avx2._mm256_unpacklo_epi8(first, second);
            let late = avx2._mm256_unpackhi_epi8(first, second);
            let quarters = [
                avx2._mm256_unpacklo_epi8(early, zero),
                avx2._mm256_unpackhi_epi8(early, zero),
                avx2._mm256_unpacklo_epi8(late, zero),
                avx2._mm256_unpackhi_epi8(late, zero),
            ];
            for ((high, low), bytes) in high.iter_mut().zip(&mut low).zip(quarters) {
                *high = avx2._mm256_add_epi32(*high, avx2._mm256_madd_epi16(bytes, by_high));
                *low = avx2._mm256_add_epi32(*low, avx2._mm256_madd_epi16(bytes, by_low));
            }
        }
        // Packing restores the order from before unpacking.
        pulp::cast(rounded(self, high, low, weights.fraction_bits))
    }
}

/// Combines the sums of both halves of the weights, shifts them to whole numbers and saturates them to bytes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn rounded(v3: pulp::x86::V3, high: [__m256i; 4], low: [__m256i; 4], fraction_bits: u32) -> __m256i {
    let avx2 = v3.avx2;
    let shift = v3.sse2._mm_cvtsi32_si128(fraction_bits as i32);
    let mut sums = low;
    for (sum, high) in sums.iter_mut().zip(high) {
        let high = avx2._mm256_slli_epi32::<{ LOW_BITS as i32 }>(high);
        *sum = avx2._mm256_sra_epi32(avx2._mm256_add_epi32(*sum, high), shift);
    }
    let [a, b, c, d] = sums;
    avx2._mm256_packus_epi16(avx2._mm256_packs_epi32(a, b), avx2._mm256_packs_epi32(c, d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs_of(weights: &[i32]) -> Vec<WeightPair> {
        let second = |two: &[i32]| two.get(1).copied().unwrap_or(0);
        weights
            .chunks(2)
            .map(|two| WeightPair::new(two[0], second(two)))
            .collect()
    }

    /// Weighted sum of the bytes of one channel, by definition.
    fn weighed(bytes: impl Iterator<Item = u8>, weights: &[i32], fraction_bits: u32) -> u8 {
        let sum: i64 = bytes
            .zip(weights)
            .map(|(byte, weight)| i64::from(byte) * i64::from(*weight))
            .sum();
        ((sum + (1 << (fraction_bits - 1))) >> fraction_bits).clamp(0, 255) as u8
    }

    proptest! {
        #[test]
        fn every_way_gives_the_bytes_of_the_definition(
            blocks in prop::collection::vec(prop::array::uniform32(any::<u8>()), 1..16),
            weights in prop::collection::vec(-(1_i32 << 20)..1 << 22, 16),
            fraction_bits in 14..23_u32,
        ) {
            // The sum of absolute weights stays below 2, as for every filter in use.
            let scale = 22 - fraction_bits + 4;
            let weights: Vec<i32> = weights[..blocks.len()].iter().map(|weight| weight >> scale).collect();
            let pairs = pairs_of(&weights);
            let by = Weights { pairs: &pairs, fraction_bits };

            let expected: Block =
                std::array::from_fn(|i| weighed(blocks.iter().map(|block| block[i]), &weights, fraction_bits));
            prop_assert_eq!(Plain.weigh_rows(blocks.iter(), by), expected);

            // Along x the blocks are columns of eight rows of four bytes each, of which the first three are kept.
            let next = |i: usize| blocks.get(i + 1).copied().unwrap_or([0; BLOCK]);
            let columns_by = |how: &dyn Fn(&[u8; 16]) -> [PixelPair; 2]| -> Vec<ColumnPair> {
                (0..blocks.len()).step_by(2).map(|i| {
                    let (left, right) = (blocks[i], next(i));
                    ColumnPair(std::array::from_fn(|row| {
                        let mut pixels = [7; 16];
                        pixels[..3].copy_from_slice(&left[row * 4..row * 4 + 3]);
                        pixels[3..6].copy_from_slice(&right[row * 4..row * 4 + 3]);
                        pixels[6..12].copy_from_slice(&[left[row], right[row], 3, 4, 5, 6]);
                        let [first, second] = how(&pixels);
                        let of_second = [left[row], 4, right[row], 5, 3, 6, 0, 0].map(i16::from);
                        assert_eq!(second, of_second);
                        first
                    }))
                }).collect()
            };
            let colours = |rows: [[u8; 4]; ROWS]| rows.map(|[r, g, b, _]| [r, g, b]);
            let of_rows: [[u8; 3]; ROWS] = std::array::from_fn(|row| std::array::from_fn(|c| expected[row * 4 + c]));
            let columns = columns_by(&|pixels| Plain.pair(pixels));
            prop_assert_eq!(colours(Plain.weigh_columns(&columns, by)), of_rows);

            #[cfg(target_arch = "x86_64")]
            if let Some(v3) = pulp::x86::V3::try_new() {
                prop_assert_eq!(v3.weigh_rows(blocks.iter(), by), expected);
                let columns = columns_by(&|pixels| v3.pair(pixels));
                prop_assert_eq!(colours(v3.weigh_columns(&columns, by)), of_rows);
            }
            #[cfg(target_arch = "x86_64")]
            if let Some(vnni) = super::super::weighted_sum_vnni::Vnni::try_new() {
                prop_assert_eq!(vnni.weigh_rows(blocks.iter(), by), expected);
                let columns = columns_by(&|pixels| vnni.pair(pixels));
                prop_assert_eq!(colours(vnni.weigh_columns(&columns, by)), of_rows);
            }
        }
    }
}
