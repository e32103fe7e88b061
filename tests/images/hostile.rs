//! Property tests: no image field and no damaged file makes the pipeline panic.

use proptest::prelude::*;
use thinkvla::camera::resize::Resizer;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::{Filter, Resize};

use super::{ENCODINGS, RAMP_GREY_PNG, RAMP_JPEG, RAMP_PNG, RAMP_PROGRESSIVE, decoded, view};

fn hostile_u32() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..64_u32,
        1 => any::<u32>(),
        1 => prop::sample::select(vec![0, 1, 255, 65_535, 65_536, u32::MAX / 3, u32::MAX / 2, u32::MAX - 1, u32::MAX]),
    ]
}

fn hostile_encoding() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(ENCODINGS.to_vec()).prop_map(String::from),
        1 => ".{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn hostile_image_fields_never_panic(
        width in hostile_u32(),
        height in hostile_u32(),
        encoding in hostile_encoding(),
        step in hostile_u32(),
        data in prop::collection::vec(any::<u8>(), 0..4096),
    ) {
        match view(&encoding, width, height, step, &data) {
            Ok(image) => {
                let mut out = RgbImage::default();
                image.to_rgb(&mut out);
                prop_assert_eq!(out.data().len(), width as usize * height as usize * 3);
                prop_assert!(u64::from(step) * u64::from(height - 1) <= data.len() as u64);
                prop_assert_eq!(image.rows().count(), height as usize);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn damaged_compressed_data_never_panics(
        which in 0..4_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let (format, original) =
            [("jpeg", RAMP_JPEG), ("jpeg", RAMP_PROGRESSIVE), ("png", RAMP_PNG), ("png", RAMP_GREY_PNG)][which];
        let mut data = original.to_vec();
        for (place, byte) in damage {
            let place = place.index(data.len());
            data[place] = byte;
        }
        if cut {
            data.truncate(keep.index(data.len()));
        }
        if let Ok(image) = decoded(format, &data) {
            prop_assert_eq!(image.data().len(), image.width() as usize * image.height() as usize * 3);
        }
    }
}

proptest! {
    #[test]
    fn resizing_a_flat_image_keeps_its_colour(
        (width, height) in (1..80_u32, 1..80_u32),
        (to_width, to_height) in (1..80_u32, 1..80_u32),
        colour in any::<[u8; 3]>(),
        area in any::<bool>(),
    ) {
        let mut source = RgbImage::new(width, height);
        source.data_mut().as_chunks_mut::<3>().0.fill(colour);
        let mut out = RgbImage::default();
        let rule = if area {
            Resize { width: to_width.min(width), height: to_height.min(height), filter: Filter::Area }
        } else {
            Resize { width: to_width, height: to_height, filter: Filter::Bicubic }
        };
        Resizer::default().resize(&source, rule, &mut out).unwrap();
        prop_assert!(out.data().as_chunks::<3>().0.iter().all(|pixel| *pixel == colour));
    }
}
