//! Tests of resizing and preprocessing apart from the references.

use thinkvla::camera::patches::PatchRule;
use thinkvla::camera::preprocess::Preprocessor;
use thinkvla::camera::resize::{ResizeError, Resizer};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::{Filter, Resize};

use super::{noise_image, view};

#[test]
fn views_are_appended_in_the_order_pushed_and_buffers_are_reused() {
    let recorded = Resize {
        width: 224,
        height: 224,
        filter: Filter::Bicubic,
    };
    let mut preprocessor = Preprocessor::new(recorded, PatchRule::QWEN3_VL).unwrap();
    let (top, wrist) = (noise_image("noise", [640, 480]), noise_image("steps", [320, 240]));
    preprocessor.push_rgb(&top).unwrap();
    let only_top = preprocessor.input().clone();
    preprocessor.push_rgb(&wrist).unwrap();
    let both = preprocessor.input().clone();
    assert_eq!(both.grids.len(), 2);
    assert_eq!(both.pixel_values.len(), 2 * 256 * 1536);
    assert_eq!(both.pixel_values[..256 * 1536], only_top.pixel_values);
    preprocessor.clear();
    let padded: Vec<u8> = top.rows().flat_map(|row| [row, &[7; 5]].concat()).collect();
    let mut unpadded = RgbImage::default();
    view("rgb8", 640, 480, 640 * 3 + 5, &padded)
        .unwrap()
        .to_rgb(&mut unpadded);
    preprocessor.push_rgb(&unpadded).unwrap();
    assert_eq!(*preprocessor.input(), only_top, "a padded view is the same image");
}

#[test]
fn an_enlarging_area_resize_and_empty_images_are_refused() {
    let mut resizer = Resizer::default();
    let rule = |width, height, filter| Resize { width, height, filter };
    let mut out = RgbImage::default();
    let source = RgbImage::new(100, 100);
    let enlarges = resizer.resize(&source, rule(50, 101, Filter::Area), &mut out);
    assert!(matches!(enlarges, Err(ResizeError::Enlarges { height: 101, .. })));
    for (width, height) in [(0, 5), (5, 0), (u32::MAX, 5)] {
        let refused = resizer.resize(&source, rule(width, height, Filter::Bicubic), &mut out);
        assert_eq!(refused, Err(ResizeError::Size { width, height }));
    }
    assert!(
        resizer
            .resize(&RgbImage::default(), rule(5, 5, Filter::Bilinear), &mut out)
            .is_err()
    );
}
