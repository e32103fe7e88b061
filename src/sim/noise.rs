//! Sensor noise: a real camera never sends two identical pictures, and the detection of frozen cameras relies on it.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

/// Adds -1, 0 or 1 to every value; the sequence follows from the seed.
pub struct SensorNoise {
    random: ChaCha8Rng,
    drawn: Vec<u8>,
}

impl SensorNoise {
    /// Creates the noise of a sensor.
    pub fn new(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            drawn: Vec::new(),
        }
    }

    /// Restarts the sequence with a seed.
    pub fn restart(&mut self, seed: u64) {
        self.random = ChaCha8Rng::seed_from_u64(seed);
    }

    /// Adds noise to one picture.
    pub fn add(&mut self, pixels: &mut [u8]) {
        self.drawn.resize(pixels.len(), 0);
        self.random.fill_bytes(&mut self.drawn);
        for (pixel, drawn) in pixels.iter_mut().zip(&self.drawn) {
            *pixel = pixel.saturating_add(drawn & 1).saturating_sub(drawn >> 1 & 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pictures_of_a_still_scene_differ_by_little() {
        let mut noise = SensorNoise::new(0);
        let [mut first, mut second] = [[100_u8; 1000], [100_u8; 1000]];
        noise.add(&mut first);
        noise.add(&mut second);
        assert_ne!(first, second);
        assert!(first.iter().chain(&second).all(|v| (99..=101).contains(v)));
    }
}
