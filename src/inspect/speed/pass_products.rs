//! The matrix products of one pass, by stage.

use crate::camera::patches::Grid;
use crate::model::config::Config;

/// Stage of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassStage {
    /// Vision tower.
    Vision,
    /// Language model.
    Language,
    /// Adapters, projectors and action head, in 32 bits.
    Head,
}

/// `number` independent products of (rows, inner) by (inner, columns).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// Number of products computed in one step: 1 for a linear map, images x heads in attention.
    pub number: i64,
    /// Number of rows of the left factor.
    pub rows: i64,
    /// Number of columns of the result.
    pub columns: i64,
    /// Length of the dimension that is summed over.
    pub inner: i64,
}

/// A product, its stage and its number of occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Stage.
    pub stage: PassStage,
    /// Product.
    pub product: Product,
    /// Number of occurrences in one pass.
    pub times: i64,
}

/// Sizes of the inputs.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// Patch grid of each image.
    pub grids: &'a [Grid],
    /// Number of tokens of the prompt.
    pub tokens: i64,
}

impl Product {
    /// Creates the product of a linear map.
    pub fn linear(rows: i64, columns: i64, inner: i64) -> Self {
        Self {
            number: 1,
            rows,
            columns,
            inner,
        }
    }

    /// Returns the number of floating-point operations.
    pub fn flop(&self) -> f64 {
        2.0 * self.number as f64 * self.rows as f64 * self.columns as f64 * self.inner as f64
    }
}

/// Returns all matrix products of one pass. The last language layer counts only the tokens that are read; causal
/// attention counts in full, as it is computed.
pub fn of_one_pass(config: &Config, load: Load) -> Vec<Work> {
    let mut all = vision(config, load);
    all.extend(language(config, load));
    all.extend(head(config, load));
    all
}

fn patches(load: Load) -> i64 {
    load.grids.iter().map(|grid| grid.patches() as i64).sum()
}

fn vision(config: &Config, load: Load) -> Vec<Work> {
    let c = &config.vision_config;
    let (rows, width, inner) = (patches(load), c.hidden_size, c.intermediate_size);
    let merge = c.spatial_merge_size * c.spatial_merge_size;
    let mergers = 1 + c.deepstack_visual_indexes.len() as i64;
    let of = |times, product| Work {
        stage: PassStage::Vision,
        product,
        times,
    };
    let mut all = vec![
        of(1, Product::linear(rows, width, c.patch_values())),
        of(c.depth, Product::linear(rows, 3 * width, width)),
        of(c.depth, Product::linear(rows, width, width)),
        of(c.depth, Product::linear(rows, inner, width)),
        of(c.depth, Product::linear(rows, width, inner)),
        of(mergers, Product::linear(rows / merge, merge * width, merge * width)),
        of(mergers, Product::linear(rows / merge, c.out_hidden_size, merge * width)),
    ];
    for grid in load.grids {
        let patches = grid.patches() as i64;
        all.extend(attention(c.num_heads, [patches, patches], width / c.num_heads).map(|p| of(c.depth, p)));
    }
    all
}

fn language(config: &Config, load: Load) -> Vec<Work> {
    let c = &config.text_config;
    let (rows, width, inner, layers) = (load.tokens, c.hidden_size, c.intermediate_size, c.num_hidden_layers);
    let (queries, keys) = (c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim);
    let read = 1 + config.thinkvla.chunk_len;
    let of = |times, product| Work {
        stage: PassStage::Language,
        product,
        times,
    };
    let mut all = vec![of(layers, Product::linear(rows, queries + 2 * keys, width))];
    for (rows, times) in [(rows, layers - 1), (read, 1)] {
        all.push(of(times, Product::linear(rows, width, queries)));
        all.push(of(2 * times, Product::linear(rows, inner, width)));
        all.push(of(times, Product::linear(rows, width, inner)));
        all.extend(attention(c.num_attention_heads, [rows, load.tokens], c.head_dim).map(|p| of(times, p)));
    }
    all
}

fn head(config: &Config, load: Load) -> Vec<Work> {
    let (c, width) = (&config.thinkvla, config.text_config.hidden_size);
    let (rows, hidden) = (patches(load), c.head_hidden);
    let of = |times, product| Work {
        stage: PassStage::Head,
        product,
        times,
    };
    let mut all = Vec::new();
    if let Some(geometry) = c.geometry.as_ref().map(|geometry| geometry.width) {
        all.push(of(1, Product::linear(rows, geometry, config.vision_config.hidden_size)));
        all.push(of(1, Product::linear(rows, geometry, geometry)));
        all.push(of(1, Product::linear(1, width, geometry)));
        all.push(of(1, Product::linear(1, width, width)));
    }
    if c.reasoning.is_some() {
        all.push(of(4, Product::linear(1, width, width)));
    }
    all.extend([
        of(1, Product::linear(c.chunk_len, hidden, width)),
        of(c.head_blocks, Product::linear(c.chunk_len, hidden, hidden)),
        of(1, Product::linear(c.chunk_len, c.action_dim, hidden)),
    ]);
    all
}

/// Queries times keys, then weights times values.
fn attention(heads: i64, [queries, keys]: [i64; 2], width: i64) -> [Product; 2] {
    let product = |columns, inner| Product {
        number: heads,
        rows: queries,
        columns,
        inner,
    };
    [product(keys, width), product(width, keys)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::init::presets::Preset;

    #[test]
    fn the_2b_size_makes_the_work_of_its_parameters() {
        let config = Preset::Qwen3Vl2b.config_without_tokenizer().unwrap();
        let grids = [Grid { t: 1, h: 16, w: 16 }; 2];
        let load = Load {
            grids: &grids,
            tokens: 256,
        };
        let all = of_one_pass(&config, load);
        let gflop = |stage| -> f64 {
            let of_stage = all.iter().filter(|w| w.stage == stage);
            of_stage.map(|w| w.times as f64 * w.product.flop() / 1e9).sum()
        };
        // 302 million parameters of blocks for 512 rows, 100.7 million of mergers for 128 rows, and attention.
        assert!(
            (gflop(PassStage::Vision) - 349.0).abs() < 5.0,
            "{}",
            gflop(PassStage::Vision)
        );
        // 27 layers of 50.3 million parameters for 256 rows, 8.4 million of the last layer, and attention.
        assert!(
            (gflop(PassStage::Language) - 714.0).abs() < 5.0,
            "{}",
            gflop(PassStage::Language)
        );
    }
}
