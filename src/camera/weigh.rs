//! Weighted sums of byte blocks in 32-bit integers: the inner loop of resampling.
//!
//! Two ways give the same integers: a plain one that every machine runs, and one for AVX2, which multiplies pairs of
//! 16-bit numbers and therefore splits each weight in two.

/// Bytes filtered at once.
pub(super) const BLOCK: usize = 32;

/// A block of bytes.
pub(super) type Block = [u8; BLOCK];

/// Bits of the lower part of a split weight.
const LOW_BITS: u32 = 11;

/// Weights of one window, and how many of their bits are a fraction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    /// One for each block.
    pub plain: &'a [i32],
    /// The same, two by two; an odd last one is paired with 0.
    pub pairs: &'a [WeightPair],
    /// Fractional bits.
    pub fraction_bits: u32,
}

/// Two neighbouring weights, each split into `high · 2^11 + low`, as two 16-bit numbers in one of 32.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightPair {
    high: i32,
    low: i32,
}

impl WeightPair {
    /// Of weights below 2^26, which those of 22 fractional bits are.
    pub(super) fn new(first: i32, second: i32) -> Self {
        let join = |first: i32, second: i32| first & 0xffff | second << 16;
        let low = (1 << LOW_BITS) - 1;
        Self {
            high: join(first >> LOW_BITS, second >> LOW_BITS),
            low: join(first & low, second & low),
        }
    }
}

/// A way to weigh.
pub(super) trait Weigh: Copy {
    /// Sum of blocks times weights, rounded half up to whole numbers and clipped to bytes.
    fn weigh<'a>(self, blocks: impl Iterator<Item = &'a Block>, weights: Weights<'_>) -> Block;
}

/// For every machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain;

impl Weigh for Plain {
    #[inline(always)]
    fn weigh<'a>(self, blocks: impl Iterator<Item = &'a Block>, weights: Weights<'_>) -> Block {
        let mut sums = [1_i32 << (weights.fraction_bits - 1); BLOCK];
        for (block, weight) in blocks.zip(weights.plain) {
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
    fn weigh<'a>(self, mut blocks: impl Iterator<Item = &'a Block>, weights: Weights<'_>) -> Block {
        let avx2 = self.avx2;
        let avx = self.avx;
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
        let shift = self.sse2._mm_cvtsi32_si128(weights.fraction_bits as i32);
        let mut sums = low;
        for (sum, high) in sums.iter_mut().zip(high) {
            let high = avx2._mm256_slli_epi32::<{ LOW_BITS as i32 }>(high);
            *sum = avx2._mm256_sra_epi32(avx2._mm256_add_epi32(*sum, high), shift);
        }
        // Packing saturates, and puts the quarters back in the order that unpacking took them apart.
        let [a, b, c, d] = sums;
        let (early, late) = (avx2._mm256_packs_epi32(a, b), avx2._mm256_packs_epi32(c, d));
        pulp::cast(avx2._mm256_packus_epi16(early, late))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_ways_give_the_same_bytes(
            blocks in prop::collection::vec(prop::array::uniform32(any::<u8>()), 1..16),
            weights in prop::collection::vec(-(1_i32 << 20)..1 << 22, 16),
            fraction_bits in 14..23_u32,
        ) {
            // The sum of absolute weights stays below 2, as for every filter in use.
            let scale = 22 - fraction_bits + 4;
            let plain: Vec<i32> = weights[..blocks.len()].iter().map(|weight| weight >> scale).collect();
            let pairs: Vec<WeightPair> = plain
                .chunks(2)
                .map(|two| WeightPair::new(two[0], two.get(1).copied().unwrap_or(0)))
                .collect();
            let weights = Weights { plain: &plain, pairs: &pairs, fraction_bits };
            let expected = Plain.weigh(blocks.iter(), weights);
            #[cfg(target_arch = "x86_64")]
            if let Some(v3) = pulp::x86::V3::try_new() {
                prop_assert_eq!(v3.weigh(blocks.iter(), weights), expected);
            }
            let first: i64 = blocks.iter().zip(&plain).map(|(block, weight)| i64::from(block[0]) * i64::from(*weight)).sum();
            let rounded = (first + (1 << (fraction_bits - 1))) >> fraction_bits;
            prop_assert_eq!(i64::from(expected[0]), rounded.clamp(0, 255));
        }
    }
}
