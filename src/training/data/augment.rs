//! Random augmentation of brightness, contrast and colour.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::random::normal;

/// Colour channels: red, green, blue.
const CHANNELS: usize = 3;

/// Strength of the augmentation; 0 changes nothing. Geometry targets stay valid: nothing is moved.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Standard deviation of the factor, around 1, of all values of an image; they range from -1 to 1.
    pub contrast: f64,
    /// Standard deviation of the offset of each colour of an image.
    pub colour: f64,
}

impl Augmentation {
    /// Returns the setting that cannot work, if there is one.
    pub(in crate::training) fn problem(&self) -> Option<(&'static str, &'static str, String)> {
        let works = |value: f64| (0.0..1.0).contains(&value);
        (!works(self.contrast) || !works(self.colour)).then(|| {
            (
                "data.augment",
                "contrast and colour of 0 or more and less than 1",
                format!("{} and {}", self.contrast, self.colour),
            )
        })
    }

    /// Returns whether nothing is changed.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Augments one image in place.
    ///
    /// # Shapes
    /// `patches`: patches one after another, each (channels, frames, side, side), of `values` values
    pub fn apply(&self, patches: &mut [f32], values: usize, random: &mut ChaCha8Rng) {
        let factor = 1.0 + self.contrast * normal(random);
        let added: [f64; CHANNELS] = std::array::from_fn(|_| self.colour * normal(random));
        for patch in patches.chunks_mut(values.max(1)) {
            for (channel, added) in patch.chunks_mut((values / CHANNELS).max(1)).zip(added) {
                for value in channel {
                    *value = (f64::from(*value) * factor + added).clamp(-1.0, 1.0) as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn each_colour_of_a_picture_is_changed_in_the_same_way_everywhere() {
        let augmentation = Augmentation {
            contrast: 0.1,
            colour: 0.1,
        };
        // Two patches of three channels of two values.
        let mut picture: Vec<f32> = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3].iter().flat_map(|v| [*v, -*v]).collect();
        augmentation.apply(&mut picture, 6, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(picture[..6], picture[6..]);
        let spread = |channel: usize| picture[2 * channel] - picture[2 * channel + 1];
        assert!((spread(1) - 2.0 * spread(0)).abs() < 1e-6 && (spread(2) - 3.0 * spread(0)).abs() < 1e-6);
        assert!((spread(0) - 0.2).abs() > 1e-4 && (picture[0] + picture[1]).abs() > 1e-4);
    }
}
