//! Random augmentation: shift and crop, and brightness, contrast and colour.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::crop_window::CropWindow;
use crate::random::normal;
use crate::training::config::{SettingProblem, first_of, unless};

/// Colour channels: red, green, blue.
const CHANNELS: usize = 3;

/// Strength of the augmentation; 0 changes nothing. Each picture is changed by itself. Geometry targets move with a
/// picture that is shifted or cropped.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Standard deviation of the factor, around 1, of all values of an image; they range from -1 to 1.
    pub contrast: f64,
    /// Standard deviation of the offset of each colour of an image.
    pub colour: f64,
    /// Largest shift along each axis, as a fraction of the picture that is fed, less than 0.5; uniform in both
    /// directions. Edges are replicated.
    pub shift: f64,
    /// Largest fraction of each side that is cut off before the rest is resized to the whole size, less than 1;
    /// uniform, as is the place of the rest.
    pub crop: f64,
}

impl Augmentation {
    /// Returns the setting that cannot work, if there is one.
    pub(in crate::training) fn problem(&self) -> Option<SettingProblem> {
        let works = |value: f64| (0.0..1.0).contains(&value);
        first_of([
            unless(
                works(self.contrast) && works(self.colour),
                "data.augment",
                "contrast and colour of 0 or more and less than 1",
                format!("{} and {}", self.contrast, self.colour),
            ),
            unless(
                (0.0..0.5).contains(&self.shift) && works(self.crop),
                "data.augment",
                "shift of 0 or more and less than 0.5, crop of 0 or more and less than 1",
                format!("{} and {}", self.shift, self.crop),
            ),
        ])
    }

    /// Returns whether nothing is changed.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether values of pixels are changed.
    pub fn recolours(&self) -> bool {
        self.contrast != 0.0 || self.colour != 0.0
    }

    /// Returns whether pictures are shifted or cropped.
    pub fn moves(&self) -> bool {
        self.shift != 0.0 || self.crop != 0.0
    }

    /// Draws the window of one picture.
    pub fn window(&self, random: &mut ChaCha8Rng) -> CropWindow {
        let side = 1.0 - self.crop * random.random::<f64>();
        let origin = std::array::from_fn(|_| {
            let within = (1.0 - side) * random.random::<f64>();
            within + side * self.shift * (2.0 * random.random::<f64>() - 1.0)
        });
        CropWindow { origin, side }
    }

    /// Changes contrast and colour of one image in place.
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
            ..Augmentation::default()
        };
        // Two patches of three channels of two values.
        let mut picture: Vec<f32> = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3].iter().flat_map(|v| [*v, -*v]).collect();
        augmentation.apply(&mut picture, 6, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(picture[..6], picture[6..]);
        let spread = |channel: usize| picture[2 * channel] - picture[2 * channel + 1];
        assert!((spread(1) - 2.0 * spread(0)).abs() < 1e-6 && (spread(2) - 3.0 * spread(0)).abs() < 1e-6);
        assert!((spread(0) - 0.2).abs() > 1e-4 && (picture[0] + picture[1]).abs() > 1e-4);
    }

    #[test]
    fn windows_follow_from_the_seed_and_stay_within_the_limits() {
        let augmentation = Augmentation {
            shift: 0.05,
            crop: 0.2,
            ..Augmentation::default()
        };
        let drawn = |seed| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            (0..200).map(|_| augmentation.window(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        for CropWindow { origin, side } in drawn(1) {
            assert!((0.8..=1.0).contains(&side), "{side}");
            for at in origin {
                assert!((-0.05..=1.05 - side).contains(&at), "{at} {side}");
            }
        }
        let off = Augmentation::default().window(&mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(off, CropWindow::WHOLE);
    }

    #[test]
    fn a_shift_of_half_a_picture_is_refused() {
        let half = Augmentation {
            shift: 0.5,
            ..Augmentation::default()
        };
        let SettingProblem { field, expected, found } = half.problem().unwrap();
        assert_eq!(field, "data.augment");
        assert!(
            expected.contains("shift of 0 or more and less than 0.5") && found == "0.5 and 0",
            "{found}"
        );
    }
}
