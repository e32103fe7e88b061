//! Tests of videos whose frames are not at the times of a plain count, and of other files in place of videos.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Float32Array, Float64Array};
use serde_json::json;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::decoded_images::DecodedImageReader;
use thinkvla::dataset::video::{VideoSettings, VideoWriter};
use thinkvla::dataset::{At, Dataset};

use super::foreign::{DATA, EPISODES, Foreign, describe, exchange, extend, whole};
use super::{command_line, made, pointer, problems};

const CAMERA: &str = "observation.images.top";
const VIDEO: &str = "videos/observation.images.top/chunk-000/file-000.mp4";

/// Two episodes in one video; the frames of the second are 3 ms late, as its description says.
fn with_late_video() -> (tempfile::TempDir, PathBuf) {
    with_video("x264_late.mp4", [0.0, 0.503])
}

/// Two episodes of five frames in one of the videos of `tests/data/video`, from these times on (s).
fn with_video(name: &str, starts: [f64; 2]) -> (tempfile::TempDir, PathBuf) {
    let made = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/video")
        .join(name);
    with_video_of(&Foreign::default(), &std::fs::read(made).unwrap(), starts)
}

/// Two episodes of five frames in this video, from these times on (s).
fn with_video_of(foreign: &Foreign, video: &[u8], starts: [f64; 2]) -> (tempfile::TempDir, PathBuf) {
    let (folder, root) = made(foreign);
    let length_s = 5.0 / foreign.fps as f64;
    let time = |times: [f64; 2]| Arc::new(Float64Array::from_iter_values(times));
    let column = |part: &str| format!("videos/{CAMERA}/{part}");
    extend(
        &root.join(EPISODES),
        vec![
            (&column("chunk_index"), whole([0, 0])),
            (&column("file_index"), whole([0, 0])),
            (&column("from_timestamp"), time(starts)),
            (&column("to_timestamp"), time(starts.map(|start| start + length_s))),
        ],
    );
    describe(&root, |info| {
        info["video_path"] = json!("videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4");
        info["features"][CAMERA] =
            json!({"dtype": "video", "shape": [64, 96, 3], "names": ["height", "width", "channels"]});
    });
    let path = root.join(VIDEO);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, video).unwrap();
    (folder, root)
}

/// The frame number that `tests/data/video/make.py` drew into a frame.
fn number_of(image: &RgbImage) -> usize {
    let is_lit = |bit: u32| image.pixel(bit * 12 + 6, 16).unwrap()[1] > 128;
    (0..8).map(|bit| usize::from(is_lit(bit)) << bit).sum()
}

/// Runs `verify --deep`; returns whether it succeeded, and its output.
fn deep(root: &Path) -> (bool, String) {
    let output = command_line::dataset(&["verify", root.to_str().unwrap(), "--deep"]);
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// Asserts that `verify --deep` finds nothing, and that the rows of the two episodes have the frames from these on.
fn assert_sound(root: &Path, firsts: [usize; 2]) {
    let (is_sound, message) = deep(root);
    assert!(is_sound, "{message}");
    assert_frames(root, firsts);
}

/// Asserts that the rows of the two episodes have the frames from these on.
fn assert_frames(root: &Path, firsts: [usize; 2]) {
    let dataset = Dataset::open(root).unwrap();
    let mut reader = DecodedImageReader::new(&dataset, &[CAMERA]).unwrap();
    let mut images = Vec::new();
    // Backwards, so that no frame is correct just because it is the next one.
    for row in (0..10).rev() {
        let at = At {
            episode: row / 5,
            frame: row % 5,
        };
        reader.read(at, &mut images).unwrap();
        assert_eq!(number_of(&images[0]), firsts[row / 5] + row % 5);
    }
}

#[test]
fn rows_have_the_frames_of_their_own_times() {
    let (_folder, root) = with_late_video();
    assert_sound(&root, [0, 5]);
}

/// Ten frames at 30 Hz, numbered as `tests/data/video/make.py` does.
fn numbered_video() -> Vec<u8> {
    let mut writer = VideoWriter::new(Cursor::new(Vec::new()), VideoSettings::new(96, 64, 30)).unwrap();
    for number in 0..10 {
        let mut image = RgbImage::new(96, 64);
        for (at, value) in image.data_mut().iter_mut().enumerate() {
            let (x, y) = (at / 3 % 96, at / 3 / 96);
            *value = if y < 32 && (number >> (x / 12)) & 1 == 1 {
                235
            } else {
                20
            };
        }
        writer.push(&image).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn times_that_are_rounded_to_milliseconds_have_their_frames() {
    let foreign = Foreign {
        fps: 30,
        ..Foreign::default()
    };
    let (_folder, root) = with_video_of(&foreign, &numbered_video(), [0.0, 5.0 / 30.0]);
    assert_sound(&root, [0, 5]);
    let ways: [fn(f64) -> f64; 2] = [f64::round, f64::floor];
    for way in ways {
        let times = (0..10).map(|row| (way(f64::from(row % 5) * 1000.0 / 30.0) / 1000.0) as f32);
        let times = Arc::new(Float32Array::from_iter_values(times));
        exchange(&root.join(DATA), &[("timestamp", Some(times))]);
        assert_frames(&root, [0, 5]);
        let message = problems(&root).join("\n");
        assert!(
            message.contains("row 1, frame 1 at 30 Hz") && message.contains("rounded to milliseconds"),
            "{message}"
        );
    }
}

#[test]
fn rows_that_begin_late_have_the_frames_of_their_times() {
    let (_folder, root) = with_video("x264_lerobot.mp4", [0.0, 2.0]);
    // The beginnings of both episodes were cut off, and their times and the video were left as they were.
    let times = [1.0, 0.5]
        .into_iter()
        .flat_map(|begin| (0..5).map(move |frame| begin + frame as f32 / 10.0));
    let times = Arc::new(Float32Array::from_iter_values(times));
    exchange(&root.join(DATA), &[("timestamp", Some(times))]);
    assert_sound(&root, [10, 25]);
}

#[test]
fn times_after_an_empty_edit_are_those_of_lerobot() {
    let (_folder, root) = with_video("x264_after_empty_edit.mp4", [0.2, 0.7]);
    assert_sound(&root, [0, 5]);
    // LeRobot refuses times that count from the first frame.
    let (_folder, root) = with_video("x264_after_empty_edit.mp4", [0.0, 0.5]);
    let (is_sound, message) = deep(&root);
    assert!(!is_sound && message.contains("at least 0.200"), "{message}");
}

#[test]
fn frames_that_an_edit_list_hides_are_only_decoded() {
    let (_folder, root) = with_video("x264_cut.mp4", [0.0, 15.0]);
    assert_sound(&root, [5, 155]);
}

#[test]
fn times_without_an_edit_list_are_those_of_lerobot() {
    // Reordered frames in fragments: the first is shown at 0.2 s.
    let (_folder, root) = with_video("x264_fragments.mp4", [0.2, 0.7]);
    assert_sound(&root, [0, 5]);
    let (_folder, root) = with_video("x264_fragments.mp4", [0.0, 0.5]);
    let (is_sound, message) = deep(&root);
    assert!(!is_sound && message.contains("at least 0.200"), "{message}");
}

#[test]
fn rows_are_read_backwards_through_open_groups_of_pictures() {
    // Frames 10 and 20 are listed as key frames, but only frame 0 is an IDR picture.
    let (_folder, root) = with_video("x264_open_gop.mp4", [1.0, 2.0]);
    assert_sound(&root, [10, 20]);
}

#[test]
fn videos_are_where_lerobot_writes_them_if_nothing_else_is_said() {
    let (_folder, root) = with_late_video();
    for path in [None, Some(serde_json::Value::Null)] {
        describe(&root, |info| match path {
            Some(path) => info["video_path"] = path,
            None => drop(info.as_object_mut().unwrap().remove("video_path")),
        });
        assert_sound(&root, [0, 5]);
    }
}

#[test]
fn parts_of_videos_need_no_ends() {
    let (_folder, root) = with_late_video();
    exchange(
        &root.join(EPISODES),
        &[(&format!("videos/{CAMERA}/to_timestamp"), None)],
    );
    assert_sound(&root, [0, 5]);
    let dataset = Dataset::open(&root).unwrap();
    assert!((dataset.episodes()[1].videos[CAMERA].to_s - 1.003).abs() < 1e-9);
}

#[test]
fn rows_between_two_frames_are_named() {
    let (_folder, root) = with_late_video();
    let column = format!("videos/{CAMERA}/from_timestamp");
    let times = Arc::new(Float64Array::from_iter_values([0.0, 0.55]));
    exchange(&root.join(EPISODES), &[(&column, Some(times))]);
    let (is_sound, message) = deep(&root);
    assert!(
        !is_sound && message.contains("row 0 of episode 1 is at 0.5500 s"),
        "{message}"
    );
}

#[test]
fn rows_at_the_average_rate_of_uneven_frames_are_named() {
    let (_folder, root) = with_late_video();
    let column = format!("videos/{CAMERA}/from_timestamp");
    // Ten frames in 1.003 s: the sixth would be at 0.5015 s, and is at 0.503 s.
    let times = Arc::new(Float64Array::from_iter_values([0.0, 0.5015]));
    exchange(&root.join(EPISODES), &[(&column, Some(times))]);
    let (is_sound, message) = deep(&root);
    assert!(
        !is_sound && message.contains("row 0 of episode 1 is at 0.5015 s, the nearest frame 0.0015 s away"),
        "{message}"
    );
}

#[test]
fn videos_that_end_before_the_last_row_are_named() {
    let (_folder, root) = with_video("x264_late.mp4", [0.0, 0.603]);
    let message = problems(&root).join("\n");
    assert!(
        message.contains(VIDEO) && message.contains("row 4 of episode 1: second"),
        "{message}"
    );
}

#[test]
fn files_in_place_of_videos_are_called_by_their_names() {
    let (_folder, root) = with_late_video();
    pointer(&root.join(VIDEO));
    let (is_sound, message) = deep(&root);
    assert!(
        !is_sound && message.contains(VIDEO) && message.contains("`git lfs pull`"),
        "{message}"
    );
    // Whether a video can be opened is looked at without decoding it.
    let message = problems(&root).join("\n");
    assert!(
        message.contains(VIDEO) && message.contains("`git lfs pull`"),
        "{message}"
    );
    std::fs::write(root.join(VIDEO), b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81").unwrap();
    let (is_sound, message) = deep(&root);
    assert!(
        !is_sound && message.contains(VIDEO) && message.contains("a Matroska or WebM video"),
        "{message}"
    );
    std::fs::write(root.join(VIDEO), "").unwrap();
    let (is_sound, message) = deep(&root);
    assert!(
        !is_sound && message.contains(VIDEO) && message.contains("an empty file"),
        "{message}"
    );
}
