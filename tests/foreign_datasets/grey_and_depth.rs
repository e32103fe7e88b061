//! Tests of grey cameras, depth, transparency, and of shapes in another order.

use std::io::Cursor;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use serde_json::json;
use thinkvla::dataset::Dataset;

use super::foreign::{describe, exchange, read};
use super::{command_line, problems, redrawn, sample_dataset, stdout_of, with_pictures};

fn png(pixels: &image::DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    pixels
        .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)
        .unwrap();
    bytes
}

#[test]
fn transparency_is_passed_over_and_shapes_are_read_by_their_names() {
    let (_folder, root) = with_pictures();
    let [top, wrist] = sample_dataset::CAMERAS;
    for file in 0..3 {
        let path = root.join(format!("data/chunk-000/file-00{file}.parquet"));
        let clear = redrawn(read(&path).column_by_name(top).unwrap(), |w, h| {
            png(&image::DynamicImage::ImageRgba8(image::ImageBuffer::from_fn(
                w,
                h,
                |x, _| image::Rgba([x as u8, 7, 9, 100]),
            )))
        });
        exchange(&path, &[(top, Some(clear))]);
    }
    describe(&root, |info| {
        info["features"][top]["shape"] = json!([48, 64, 4]);
        info["features"][wrist]["shape"] = json!([64, 48, 3]);
        info["features"][wrist]["names"] = json!(["width", "height", "channels"]);
    });
    assert_eq!(problems(&root), Vec::<String>::new());
    // Videos have a description that LeRobot understands: the height first, and no transparency.
    let out = root.with_file_name("videos");
    let arguments = ["encode", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    assert!(command_line::dataset(&arguments).status.success());
    assert!(stdout_of(&["verify", out.to_str().unwrap(), "--deep"]).contains("sound"));
    let dataset = Dataset::open(&out).unwrap();
    for camera in [top, wrist] {
        let feature = &dataset.info().features[camera];
        assert_eq!(feature.shape, [48, 64, 3], "{camera}");
        let names = feature.names.of_values(3).unwrap().unwrap();
        assert_eq!(names, ["height", "width", "channels"], "{camera}");
    }
}

#[test]
fn depth_of_older_datasets_is_passed_over() {
    let (_folder, root) = with_pictures();
    let [top, _] = sample_dataset::CAMERAS;
    let properties = json!({"video.fps": 10.0, "video.is_depth_map": true});
    describe(&root, |info| info["features"][top]["video_info"] = properties.clone());
    let dataset = Dataset::open(&root).unwrap();
    assert!(dataset.info().pictures().all(|(name, _)| name != top));
    let out = root.with_file_name("merged");
    let arguments = ["merge", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    assert!(command_line::dataset(&arguments).status.success());
    let merged = Dataset::open(&out).unwrap();
    assert_eq!(merged.info().features[top].video_info, Some(properties));
}

#[test]
fn grey_cameras_are_read_and_depth_is_passed_over() {
    let (_folder, root) = with_pictures();
    let [top, wrist] = sample_dataset::CAMERAS;
    for file in 0..3 {
        let path = root.join(format!("data/chunk-000/file-00{file}.parquet"));
        let rows = read(&path);
        let grey = redrawn(rows.column_by_name(top).unwrap(), |w, h| {
            png(&image::DynamicImage::ImageLuma8(image::ImageBuffer::from_fn(
                w,
                h,
                |x, _| image::Luma([x as u8]),
            )))
        });
        let depth = redrawn(rows.column_by_name(wrist).unwrap(), |w, h| {
            png(&image::DynamicImage::ImageLuma16(image::ImageBuffer::from_fn(
                w,
                h,
                |x, _| image::Luma([700 + x as u16]),
            )))
        });
        exchange(&path, &[(top, Some(grey)), (wrist, Some(depth))]);
    }
    describe(&root, |info| info["features"][top]["shape"] = json!([48, 64, 1]));
    // Without the mark of depth, 16-bit images are refused.
    let message = problems(&root).join("\n");
    assert!(
        message.contains("expected 8-bit colour or grey, found L16"),
        "{message}"
    );
    describe(&root, |info| {
        info["features"][wrist]["shape"] = json!([48, 64, 1]);
        info["features"][wrist]["info"] = json!({"is_depth_map": true});
    });
    assert_eq!(problems(&root), Vec::<String>::new());
    assert!(stdout_of(&["info", root.to_str().unwrap()]).contains("depth, passed over"));
    let dataset = Dataset::open(&root).unwrap();
    let statistics = dataset.statistics().unwrap();
    assert_eq!(statistics[top].mean.len(), 1);
    assert!(!statistics.contains_key(wrist));
    // Episodes are copied with all of their columns.
    let out = root.with_file_name("merged");
    assert!(
        command_line::dataset(&["merge", root.to_str().unwrap(), "--out", out.to_str().unwrap()])
            .status
            .success()
    );
    let depth = read(&out.join("data/chunk-000/file-001.parquet"));
    assert_eq!(
        depth.column_by_name(wrist).unwrap().as_struct().column(0).null_count(),
        0
    );
    assert_eq!(problems(&out), Vec::<String>::new());
}
