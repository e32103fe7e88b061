//! Features of 3-D points to align latents with, for targets that come from a simulator instead of a teacher network.
//!
//! An image is sampled along [`RAYS`] x [`RAYS`] rays, and each patch along 4 x 4 of them, row by row, or along fewer where
//! there are few channels. The channels of a patch are divided equally among its rays. Channels of one ray:
//!
//! ```text
//! channel 0..3             normal of the surface it meets, scaled to length √F
//! channel 3                √(4F) where nothing is near, and then all others are 0
//! channel 4 + 6k..7 + 6k   sin(2π x/λ), sin(2π y/λ), sin(2π z/λ)     of wave k of F, from 2 m to 20 cm; 1 m if F is 1
//! channel 7 + 6k..10 + 6k  cos(2π x/λ), cos(2π y/λ), cos(2π z/λ)
//! further channels         0
//! ```
//!
//! All targets thus have the same length, the cosine of two targets falls with the distance between their points, and the
//! normals contribute a quarter of it. A patch has several rays because objects to grasp are smaller than a patch: with a
//! single ray through the centre a target would hardly ever show the object.
//!
//! With classes, used to pre-train a backbone, the first four channels instead encode the class that the ray meets, each in
//! its own channel: 2 for the object to be moved, 1 for props, 1 for the robot, 1/2 for the table. Where a ray has at least
//! two channels more than one wave needs, the next two encode the heading θ of the object to be moved: 2 cos 4θ and 2 sin 4θ,
//! because a block looks the same after a quarter turn.

use std::f64::consts::TAU;

use nalgebra::Vector3;

/// Number of rays along each side of an image.
pub const RAYS: usize = 32;
/// Number of values stored for a ray: point (3), normal (3), class and heading.
pub const RAY_VALUES: usize = 8;
/// Wavelength where there is a single wave (m).
const ONLY_WAVE_M: f64 = 1.0;
/// Longest and shortest wavelength (m): the longest separates points on and above a table, the shortest an object from
/// its support.
const WAVES_M: [f64; 2] = [2.0, 0.2];
/// Largest absolute coordinate of a near point (m); beyond it the longest wave repeats.
const NEAR_M: f64 = 1.0;
/// Bound that stored coordinates are clamped to (m); a ray that meets nothing is stored as a point at this bound.
const FAR_M: f32 = 8.0;
/// Number of channels of a wave.
const CHANNELS_OF_WAVE: usize = 6;
/// Number of channels before the waves: the normal and the flag that nothing is near, or the classes.
const OTHER_CHANNELS: usize = 4;
/// Number of channels of the heading.
const CHANNELS_OF_HEADING: usize = 2;
/// Length of the heading vector.
const HEADING: f64 = 2.0;
/// Largest number of rays along each side of a patch.
const RAYS_OF_PATCH: usize = 4;
/// Smallest number of channels: those of one ray with one wave.
pub const MIN_CHANNELS: usize = OTHER_CHANNELS + CHANNELS_OF_WAVE;

/// Class of the surface that a ray meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SurfaceClass {
    /// Floor, table legs, or nothing.
    Background,
    /// Table top.
    Table,
    /// Object to be moved.
    Object,
    /// Other object on the table.
    Prop,
    /// Arm and gripper.
    Robot,
}

impl SurfaceClass {
    /// All classes; the position is the stored class number.
    pub const ALL: [Self; 5] = [Self::Background, Self::Table, Self::Object, Self::Prop, Self::Robot];
    /// Classes that have a channel, in the order of the channels, with the value for a hit.
    const CHANNELS: [(Self, f32); OTHER_CHANNELS] = [
        (Self::Object, 2.0),
        (Self::Prop, 1.0),
        (Self::Robot, 1.0),
        (Self::Table, 0.5),
    ];
}

/// Point on a surface, in a frame that the camera is fixed to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SurfacePoint {
    /// Position (m).
    pub place: Vector3<f64>,
    /// Unit normal.
    pub normal: Vector3<f64>,
    /// Class of the surface.
    pub class: SurfaceClass,
    /// Rotation of the object to be moved about the vertical, in the same frame (rad); 0 for all other classes. Headings a
    /// quarter turn apart are equivalent.
    pub heading: f64,
}

impl SurfacePoint {
    fn is_near(&self) -> bool {
        self.place.amax() <= NEAR_M
    }

    /// Values stored for a ray: x, y, z (m), normal, class number, heading (rad); `None` is a ray that meets nothing.
    pub fn values(of: Option<&Self>) -> [f32; RAY_VALUES] {
        let Some(Self {
            place,
            normal,
            class,
            heading,
        }) = of
        else {
            return [FAR_M, FAR_M, FAR_M, 0.0, 0.0, 0.0, 0.0, 0.0];
        };
        let far = f64::from(FAR_M);
        let [x, y, z] = [place.x, place.y, place.z].map(|value| value.clamp(-far, far) as f32);
        let number = SurfaceClass::ALL
            .iter()
            .position(|one| one == class)
            .unwrap_or_default();
        let [nx, ny, nz] = [normal.x, normal.y, normal.z].map(|value| value as f32);
        [x, y, z, nx, ny, nz, number as f32, *heading as f32]
    }

    /// Restores a point from [`Self::values`]; `None` for a ray that met nothing and for an unknown class number.
    pub fn of_values([x, y, z, nx, ny, nz, class, heading]: [f32; RAY_VALUES]) -> Option<Self> {
        let class = *SurfaceClass::ALL.get(class as usize)?;
        let vector = |values: [f32; 3]| Vector3::from(values.map(f64::from));
        Some(Self {
            place: vector([x, y, z]),
            normal: vector([nx, ny, nz]),
            class,
            heading: f64::from(heading),
        })
        .filter(|point| point.place.amax() < f64::from(FAR_M))
    }
}

/// Settings of the features computed from rays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RayFeatures {
    /// Number of channels of a patch.
    pub channels: usize,
    /// Whether to encode classes instead of normals.
    pub classes: bool,
}

impl RayFeatures {
    /// Number of rays along each side of a patch, as many as the channels suffice for.
    fn side(self) -> usize {
        let enough = |side: &usize| self.channels / (side * side) >= MIN_CHANNELS;
        (1..=RAYS_OF_PATCH).rev().find(enough).unwrap_or(1)
    }

    /// Indices, row by row, of the image's rays that fall into a patch (row, column) of a grid of `[rows, columns]` patches.
    pub fn rays_of(self, [rows, columns]: [usize; 2], [row, column]: [usize; 2]) -> impl Iterator<Item = usize> {
        let side = self.side();
        let at =
            move |patch: usize, ray: usize, of: usize| ((patch * side + ray) * 2 + 1) * RAYS / (2 * side * of.max(1));
        (0..side).flat_map(move |y| {
            (0..side).map(move |x| at(row, y, rows).min(RAYS - 1) * RAYS + at(column, x, columns).min(RAYS - 1))
        })
    }

    /// Features of a patch from the points its rays meet, row by row; padded with zeros to `channels` values.
    pub fn of(self, rays: &[Option<SurfacePoint>]) -> Vec<f32> {
        let of_ray = self.channels / rays.len().max(1);
        let mut out: Vec<f32> = rays
            .iter()
            .flat_map(|met| of_point(met.as_ref(), of_ray, self.classes))
            .collect();
        out.resize(self.channels, 0.0);
        out
    }
}

fn of_point(of: Option<&SurfacePoint>, channels: usize, classes: bool) -> Vec<f32> {
    let tells_heading = classes && channels >= MIN_CHANNELS + CHANNELS_OF_HEADING;
    let others = if tells_heading {
        OTHER_CHANNELS + CHANNELS_OF_HEADING
    } else {
        OTHER_CHANNELS
    };
    let waves = channels.saturating_sub(others) / CHANNELS_OF_WAVE;
    let near = of.filter(|point| point.is_near());
    let mut out = Vec::with_capacity(channels);
    if classes {
        let class = of.map_or(SurfaceClass::Background, |point| point.class);
        let holds = |(of, value): (SurfaceClass, f32)| if of == class { value } else { 0.0 };
        out.extend(SurfaceClass::CHANNELS.map(holds));
        if tells_heading {
            let moved = of.filter(|point| point.class == SurfaceClass::Object);
            let turn = |of: &dyn Fn(f64) -> f64| moved.map_or(0.0, |point| HEADING * of(4.0 * point.heading)) as f32;
            out.extend([turn(&f64::cos), turn(&f64::sin)]);
        }
    } else if let Some(SurfacePoint { normal, .. }) = near {
        out.extend((normal * (waves as f64).sqrt()).iter().map(|v| *v as f32));
        out.push(0.0);
    } else {
        out.extend([0.0, 0.0, 0.0, 2.0 * (waves as f32).sqrt()]);
    }
    if let Some(SurfacePoint { place, .. }) = near {
        for wave in 0..waves {
            let phases = place * (TAU / length(wave, waves));
            out.extend(phases.iter().map(|phase| phase.sin() as f32));
            out.extend(phases.iter().map(|phase| phase.cos() as f32));
        }
    }
    out.resize(channels, 0.0);
    out
}

/// Wavelength of wave `wave` of `waves` (m), in a geometric sequence from the longest to the shortest.
fn length(wave: usize, waves: usize) -> f64 {
    if waves == 1 {
        return ONLY_WAVE_M;
    }
    let [longest, shortest] = WAVES_M;
    let way = wave as f64 / waves.saturating_sub(1).max(1) as f64;
    longest * (shortest / longest).powf(way)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    const OF_PATCH: usize = RAYS_OF_PATCH * RAYS_OF_PATCH;

    fn features(rays: &[Option<SurfacePoint>], channels: usize) -> Vec<f32> {
        RayFeatures {
            channels,
            classes: false,
        }
        .of(rays)
    }

    fn at(place: [f64; 3]) -> Vec<f32> {
        let point = SurfacePoint {
            place: place.into(),
            normal: Vector3::z(),
            class: SurfaceClass::Table,
            heading: 0.0,
        };
        features(&[Some(point); OF_PATCH], 256)
    }

    fn no_hit(channels: usize) -> Vec<f32> {
        features(&[None; OF_PATCH], channels)
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
        let no_hit = no_hit(256);
        for place in [[0.3, -0.1, 0.02], [-0.2, 0.9, -0.7]] {
            assert_relative_eq!(norm(&at(place)), norm(&no_hit), epsilon = 1e-3);
            assert_eq!(cosine(&at(place), &no_hit), 0.0);
        }
        assert_eq!(at([3.0, 0.0, 0.0]), no_hit);
        for (channels, side) in [(MIN_CHANNELS, 1), (24, 1), (40, 2), (159, 3), (250, 4), (2048, 4)] {
            let features_of = RayFeatures {
                channels,
                classes: false,
            };
            assert_eq!(features_of.side(), side);
            assert_eq!(features(&vec![None; side * side], channels).len(), channels);
        }
    }

    #[test]
    fn each_ray_of_a_patch_has_its_own_channels() {
        let mut rays = [None; OF_PATCH];
        rays[5] = Some(SurfacePoint {
            place: Vector3::new(0.3, -0.1, 0.02),
            normal: Vector3::z(),
            class: SurfaceClass::Object,
            heading: 0.0,
        });
        let differs: Vec<usize> = features(&rays, 256)
            .iter()
            .zip(no_hit(256))
            .enumerate()
            .filter(|(_, (a, b))| *a != b)
            .map(|(channel, _)| channel / 16)
            .collect();
        assert!(
            !differs.is_empty() && differs.iter().all(|ray| *ray == 5),
            "{differs:?}"
        );
    }

    #[test]
    fn classes_take_the_place_of_normals_and_tell_the_block_from_all_else() {
        let point = |class| SurfacePoint {
            place: Vector3::new(0.3, -0.1, 0.02),
            normal: Vector3::z(),
            class,
            heading: 0.25,
        };
        let of = |class| {
            let rays = [Some(point(class)); OF_PATCH];
            RayFeatures {
                channels: 160,
                classes: true,
            }
            .of(&rays)
        };
        let block = of(SurfaceClass::Object);
        assert_eq!(block[..4], [2.0, 0.0, 0.0, 0.0]);
        for (nth, class) in [
            (1, SurfaceClass::Prop),
            (2, SurfaceClass::Robot),
            (3, SurfaceClass::Table),
        ] {
            let other = of(class);
            assert!(other[nth] > 0.0 && other[0] == 0.0);
            assert_eq!(other[4..10], block[4..10]);
            assert!(cosine(&block, &other) < 0.7);
        }
    }

    #[test]
    fn a_block_s_heading_is_told_where_there_is_room_and_is_the_same_after_a_quarter_turn() {
        let of = |class, heading| {
            let point = SurfacePoint {
                place: Vector3::new(0.3, -0.1, 0.02),
                normal: Vector3::z(),
                class,
                heading,
            };
            RayFeatures {
                channels: 192,
                classes: true,
            }
            .of(&[Some(point); OF_PATCH])
        };
        let block = of(SurfaceClass::Object, 0.3);
        assert_relative_eq!(block[4], 2.0 * 1.2f32.cos(), epsilon = 1e-6);
        assert_relative_eq!(block[5], 2.0 * 1.2f32.sin(), epsilon = 1e-6);
        let turned = of(SurfaceClass::Object, 0.3 - std::f64::consts::FRAC_PI_2);
        assert!(block.iter().zip(&turned).all(|(a, b)| (a - b).abs() < 1e-5));
        assert_eq!(of(SurfaceClass::Prop, 0.3)[4..6], [0.0; 2]);
        // The waves follow the heading.
        assert_relative_eq!(block[6], (TAU * 0.3).sin() as f32, epsilon = 1e-6);
    }

    #[test]
    fn what_is_kept_of_a_ray_is_what_it_met() {
        let point = SurfacePoint {
            place: Vector3::new(0.25, -0.5, 0.125),
            normal: Vector3::y(),
            class: SurfaceClass::Prop,
            heading: 0.5,
        };
        assert_eq!(SurfacePoint::of_values(SurfacePoint::values(Some(&point))), Some(point));
        assert_eq!(SurfacePoint::of_values(SurfacePoint::values(None)), None);
    }

    #[test]
    fn every_ray_of_a_picture_that_is_cut_finely_belongs_to_one_patch() {
        let features = RayFeatures {
            channels: 160,
            classes: true,
        };
        let mut seen = vec![0; RAYS * RAYS];
        for (row, column) in (0..8).flat_map(|row| (0..8).map(move |column| (row, column))) {
            let rays: Vec<usize> = features.rays_of([8, 8], [row, column]).collect();
            assert_eq!(rays[0], row * 4 * RAYS + column * 4);
            rays.iter().for_each(|ray| seen[*ray] += 1);
        }
        assert!(seen.iter().all(|times| *times == 1));
        // With few channels, a single ray through the centre of the patch.
        let few = RayFeatures {
            channels: 24,
            classes: false,
        };
        assert_eq!(few.rays_of([4, 4], [0, 1]).collect::<Vec<_>>(), [4 * RAYS + 12]);
    }
}
