//! Places in space as features to align latents with, for targets that come from a simulator instead of a teacher.
//!
//! A patch is seen along 4 x 4 rays, row by row, or fewer where channels are few. Each ray has as many of them, C:
//!
//! ```text
//! channel 0..3             normal of the surface it meets, √F long
//! channel 3 + 6k..6 + 6k   sin(2π x/λ), sin(2π y/λ), sin(2π z/λ)     of wave k of F, from 2 m to 20 cm
//! channel 6 + 6k..9 + 6k   cos(2π x/λ), cos(2π y/λ), cos(2π z/λ)
//! channel 3 + 6F           √(4F) where nothing is near, and then all others are 0
//! further channels         0
//! ```
//!
//! So every target is equally long, the cosine of two of them falls with the distance between the places, and a quarter of
//! it is the normals'. Several rays, because what is to be grasped is smaller than a patch: with one through the middle a
//! target would hardly ever tell that it is there.

use std::f64::consts::TAU;

use nalgebra::Vector3;

/// Longest and shortest wave [m]: the one tells places on and above a table apart, the other a thing from what it is on.
const WAVES_M: [f64; 2] = [2.0, 0.2];
/// Farther than this along an axis of the frame it is told in is far: the longest wave begins again [m].
const NEAR_M: f64 = 1.0;
/// Channels of a wave.
const OF_WAVE: usize = 6;
/// Channels that are no wave's: the normal and what says that nothing is near.
const OTHERS: usize = 4;
/// Rays along each side of a patch at most.
const RAYS: usize = 4;
/// Fewest channels: those of one ray and one wave.
pub const LEAST_CHANNELS: usize = OTHERS + OF_WAVE;

/// What the features depend on besides the place.
pub fn identity(channels: usize) -> String {
    format!("simulator points 3, {channels} channels")
}

/// A place on a surface, in a frame that its camera is fixed to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SurfacePoint {
    /// Where [m].
    pub place: Vector3<f64>,
    /// Normal, of length 1.
    pub normal: Vector3<f64>,
}

impl SurfacePoint {
    fn is_near(&self) -> bool {
        self.place.amax() <= NEAR_M
    }
}

/// Rays along each side of a patch that has so many channels.
pub fn rays(channels: usize) -> usize {
    let enough = |side: &usize| channels / (side * side) >= LEAST_CHANNELS;
    (1..=RAYS).rev().find(enough).unwrap_or(1)
}

/// Features of what a patch shows along its rays, row by row, as far as `channels` reach.
pub fn features(rays: &[Option<SurfacePoint>], channels: usize) -> Vec<f32> {
    let of_ray = channels / rays.len().max(1);
    let mut out: Vec<f32> = rays.iter().flat_map(|met| of_point(met.as_ref(), of_ray)).collect();
    out.resize(channels, 0.0);
    out
}

fn of_point(of: Option<&SurfacePoint>, channels: usize) -> Vec<f32> {
    let waves = channels.saturating_sub(OTHERS) / OF_WAVE;
    let mut out = Vec::with_capacity(channels);
    if let Some(SurfacePoint { place, normal }) = of.filter(|point| point.is_near()) {
        out.extend((normal * (waves as f64).sqrt()).iter().map(|v| *v as f32));
        for wave in 0..waves {
            let phases = place * (TAU / length(wave, waves));
            out.extend(phases.iter().map(|phase| phase.sin() as f32));
            out.extend(phases.iter().map(|phase| phase.cos() as f32));
        }
    } else {
        out.resize(OF_WAVE * waves + OTHERS - 1, 0.0);
        out.push(2.0 * (waves as f32).sqrt());
    }
    out.resize(channels, 0.0);
    out
}

/// Length of a wave [m]; each is as much shorter than the one before.
fn length(wave: usize, waves: usize) -> f64 {
    let [longest, shortest] = WAVES_M;
    let way = wave as f64 / waves.saturating_sub(1).max(1) as f64;
    longest * (shortest / longest).powf(way)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    fn at(place: [f64; 3]) -> Vec<f32> {
        let point = SurfacePoint {
            place: place.into(),
            normal: Vector3::z(),
        };
        features(&[Some(point); RAYS * RAYS], 256)
    }

    fn sky(channels: usize) -> Vec<f32> {
        features(&[None; RAYS * RAYS], channels)
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn the_farther_two_places_are_apart_the_less_alike_are_their_features() {
        let here = at([0.3, -0.1, 0.02]);
        let away = [0.0, 0.005, 0.02, 0.05, 0.08, 0.1];
        let alike: Vec<f32> = away
            .iter()
            .map(|by| cosine(&here, &at([0.3 + by, -0.1, 0.02])))
            .collect();
        assert_relative_eq!(alike[0], 1.0, epsilon = 1e-5);
        assert!(alike.windows(2).all(|pair| pair[1] < pair[0]), "{alike:?}");
        assert!(alike[1] < 0.9995 && alike[5] < 0.8, "{alike:?}");
    }

    #[test]
    fn all_are_equally_long_and_what_is_far_is_like_no_place() {
        let norm = |of: &[f32]| of.iter().map(|v| v * v).sum::<f32>().sqrt();
        let sky = sky(256);
        for place in [[0.3, -0.1, 0.02], [-0.2, 0.9, -0.7]] {
            assert_relative_eq!(norm(&at(place)), norm(&sky), epsilon = 1e-3);
            assert_eq!(cosine(&at(place), &sky), 0.0);
        }
        assert_eq!(at([3.0, 0.0, 0.0]), sky);
        for (channels, side) in [(LEAST_CHANNELS, 1), (24, 1), (40, 2), (159, 3), (250, 4), (2048, 4)] {
            assert_eq!(rays(channels), side);
            assert_eq!(features(&vec![None; side * side], channels).len(), channels);
        }
    }

    #[test]
    fn each_ray_of_a_patch_has_its_own_channels() {
        let mut rays = [None; RAYS * RAYS];
        rays[5] = Some(SurfacePoint {
            place: Vector3::new(0.3, -0.1, 0.02),
            normal: Vector3::z(),
        });
        let differs: Vec<usize> = features(&rays, 256)
            .iter()
            .zip(sky(256))
            .enumerate()
            .filter(|(_, (a, b))| *a != b)
            .map(|(channel, _)| channel / 16)
            .collect();
        assert!(
            !differs.is_empty() && differs.iter().all(|ray| *ray == 5),
            "{differs:?}"
        );
    }
}
