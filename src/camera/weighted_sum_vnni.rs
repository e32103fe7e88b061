//! Inner loops of resampling for processors with AVX-512 VNNI, which multiplies and adds pairs in one instruction.

use super::weighted_sum::{Block, ColumnPair, LOW_BITS, PixelPair, ROWS, Weigh, Weights};
use pulp::NullaryFnOnce;
use pulp::x86::V3;

pulp::simd_type! {
    /// Instruction sets that must be enabled together, so that a product and its sum become one instruction.
    struct Features {
        avx512f: "avx512f",
        avx512bw: "avx512bw",
        avx512vl: "avx512vl",
        avx512vnni: "avx512vnni",
    }
}

/// Token that proves that the processor supports the instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vnni {
    features: Features,
    v3: V3,
}

impl Vnni {
    /// Returns the token if the processor supports the instructions.
    pub(super) fn try_new() -> Option<Self> {
        Some(Self {
            features: Features::try_new()?,
            v3: V3::try_new()?,
        })
    }

    /// Runs `work`, which must be inlined, with the instructions enabled.
    pub(super) fn vectorize<F: NullaryFnOnce>(self, work: F) -> F::Output {
        self.features.vectorize(work)
    }
}

impl Weigh for Vnni {
    #[inline(always)]
    fn pair(self, pixels: &[u8; 16]) -> [PixelPair; 2] {
        self.v3.pair(pixels)
    }

    #[inline(always)]
    fn weigh_columns(self, columns: &[ColumnPair], weights: Weights<'_>) -> [[u8; 4]; ROWS] {
        // Packing leaves rows k and k + 4, twice, in the 128-bit lane k.
        const ROWS_IN_ORDER: [u32; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13];
        let Features { avx512f, avx512bw, .. } = self.features;
        let half = avx512f._mm512_set1_epi32(1 << (weights.fraction_bits - 1));
        let (mut high, mut low) = ([avx512f._mm512_setzero_si512(); 2], [half; 2]);
        for (ColumnPair(rows), pair) in columns.iter().zip(weights.pairs) {
            let by_high = avx512f._mm512_set1_epi32(pair.high);
            let by_low = avx512f._mm512_set1_epi32(pair.low);
            for ((high, low), four_rows) in high.iter_mut().zip(&mut low).zip(rows.as_chunks::<4>().0) {
                let pixels = pulp::cast(*four_rows);
                *high = avx512f._mm512_add_epi32(*high, avx512bw._mm512_madd_epi16(pixels, by_high));
                *low = avx512f._mm512_add_epi32(*low, avx512bw._mm512_madd_epi16(pixels, by_low));
            }
        }
        let shift = self.v3.sse2._mm_cvtsi32_si128(weights.fraction_bits as i32);
        let mut sums = low;
        for (sum, high) in sums.iter_mut().zip(high) {
            let high = avx512f._mm512_slli_epi32::<LOW_BITS>(high);
            *sum = avx512f._mm512_sra_epi32(avx512f._mm512_add_epi32(*sum, high), shift);
        }
        let [first, last] = sums;
        let words = avx512bw._mm512_packs_epi32(first, last);
        let bytes = avx512bw._mm512_packus_epi16(words, words);
        let [rows, _]: [[[u8; 4]; ROWS]; 2] =
            pulp::cast(avx512f._mm512_permutexvar_epi32(pulp::cast(ROWS_IN_ORDER), bytes));
        rows
    }

    #[inline(always)]
    fn weigh_rows<'a>(self, blocks: impl Iterator<Item = &'a Block>, weights: Weights<'_>) -> Block {
        self.v3.weigh_rows(blocks, weights)
    }
}
