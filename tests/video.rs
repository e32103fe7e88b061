//! Tests of videos of datasets: the requested frame is returned, whichever program wrote the file.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::video::{VideoError, VideoReader, VideoSettings, VideoWriter, feature_info};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/video")
        .join(name)
}

const COLOURS: [[u8; 3]; 4] = [[200, 30, 40], [20, 180, 60], [40, 60, 210], [128, 128, 128]];

/// A frame as `tests/data/video/make.py` draws it: the number in black and white above, colours below.
fn numbered(number: usize) -> RgbImage {
    let mut image = RgbImage::new(96, 64);
    for (i, pixel) in image.data_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (i % 96, i / 96);
        let lit = if number >> (x / 12) & 1 == 1 { 235 } else { 20 };
        *pixel = if y < 32 { [lit; 3] } else { COLOURS[x / 24] };
    }
    image
}

fn number_of(image: &RgbImage) -> usize {
    (0..8)
        .map(|bit| usize::from(image.pixel(bit * 12 + 6, 16).unwrap()[1] > 128) << bit)
        .sum()
}

fn encode(frames: impl Iterator<Item = RgbImage>, settings: VideoSettings) -> Vec<u8> {
    let mut writer = VideoWriter::new(Cursor::new(Vec::new()), settings).unwrap();
    frames.for_each(|frame| writer.push(&frame).unwrap());
    writer.finish().unwrap().into_inner()
}

fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut rand::rngs::StdRng::seed_from_u64(seed));
    order
}

fn assert_every_frame<R: std::io::Read + std::io::Seek>(reader: &mut VideoReader<R>, count: usize) {
    assert_eq!(reader.len(), count);
    for index in (0..count)
        .chain(shuffled(count, 7).into_iter().take(40))
        .chain((0..count).rev().take(20))
    {
        assert_eq!(number_of(reader.frame(index).unwrap()), index);
    }
    let start = reader.time_of(0).unwrap();
    for index in shuffled(count, 8).into_iter().take(20) {
        let stamp = start + index as f64 / reader.fps();
        assert_eq!(number_of(reader.frame_at(stamp).unwrap()), index, "at {stamp} s");
    }
    assert!(reader.frame(count).is_err());
}

fn assert_colours(image: &RgbImage, tolerance: u8) {
    for (block, colour) in (0_u32..).zip(COLOURS) {
        let found = image.pixel(block * 24 + 12, 48).unwrap();
        let close = found
            .iter()
            .zip(colour)
            .all(|(found, expected)| found.abs_diff(expected) <= tolerance);
        assert!(close, "expected {colour:?}, found {found:?}");
    }
}

#[test]
fn every_frame_that_was_written_is_read_back_by_its_number() {
    for (gop, count) in [(2, 61), (1, 5), (10, 200), (2, 1)] {
        let settings = VideoSettings {
            gop,
            ..VideoSettings::new(96, 64, 30)
        };
        let file = encode((0..count).map(numbered), settings);
        let mut reader = VideoReader::new(Cursor::new(file)).unwrap();
        assert_eq!((reader.size(), reader.codec(), reader.fps()), ((96, 64), "h264", 30.0));
        assert_every_frame(&mut reader, count);
        assert_colours(reader.frame(0).unwrap(), 6);
    }
}

#[test]
fn lerobots_av1_and_reordered_x264_give_every_frame_by_its_number() {
    let files = [
        ("av1.mp4", "av1", 40),
        ("x264_lerobot.mp4", "h264", 40),
        ("x264_reordered.mp4", "h264", 200),
        ("x264_fragments.mp4", "h264", 40),
    ];
    for (name, codec, count) in files {
        let mut reader = VideoReader::open(&fixture(name)).unwrap();
        assert_eq!(
            (reader.size(), reader.codec(), reader.fps()),
            ((96, 64), codec, 10.0),
            "{name}"
        );
        assert_every_frame(&mut reader, count);
        assert_colours(reader.frame(20).unwrap(), 8);
    }
}

#[test]
fn a_jump_never_begins_at_a_key_frame_that_is_no_idr_picture() {
    // Samples 10 and 20 are listed as key frames, but only sample 0 is an IDR picture.
    for first in [10, 11, 20, 25, 39] {
        let mut reader = VideoReader::open(&fixture("x264_open_gop.mp4")).unwrap();
        assert_eq!(number_of(reader.frame(first).unwrap()), first);
    }
    let mut reader = VideoReader::open(&fixture("x264_open_gop.mp4")).unwrap();
    assert_every_frame(&mut reader, 40);
}

#[test]
fn a_video_in_which_nothing_moves_is_read() {
    // A frame of such a video takes fewer bytes than its index entry in memory.
    let settings = VideoSettings::new(64, 48, 10);
    let still = || {
        let mut image = RgbImage::new(64, 48);
        image.data_mut().fill(120);
        image
    };
    let file = encode((0..2000).map(|_| still()), settings);
    assert!(file.len() < 2000 * 37, "{}", file.len());
    let mut reader = VideoReader::new(Cursor::new(file)).unwrap();
    assert_eq!(reader.len(), 2000);
    for index in [0, 1001, 1999] {
        assert!(
            reader
                .frame(index)
                .unwrap()
                .data()
                .iter()
                .all(|value| value.abs_diff(120) < 4)
        );
    }
}

#[test]
fn frames_are_found_by_their_own_times() {
    let mut reader = VideoReader::open(&fixture("x264_late.mp4")).unwrap();
    for index in 0..10 {
        let time = index as f64 / 10.0 + if index < 5 { 0.0 } else { 0.003 };
        assert_eq!(reader.index_at(time).unwrap(), index);
        assert!((reader.time_of(index).unwrap() - time).abs() < 1e-4);
        assert_eq!(number_of(reader.frame_at(time).unwrap()), index);
    }
}

#[test]
fn an_empty_edit_shifts_the_times_of_all_frames() {
    let mut reader = VideoReader::open(&fixture("x264_after_empty_edit.mp4")).unwrap();
    assert_eq!(reader.len(), 12);
    for index in 0..12 {
        // PyAV gives the frames these times.
        let time = 0.2 + index as f64 / 10.0;
        assert_eq!(reader.index_at(time).unwrap(), index);
        assert!((reader.time_of(index).unwrap() - time).abs() < 1e-4);
        assert_eq!(number_of(reader.frame_at(time).unwrap()), index);
    }
    let error = reader.frame_at(0.1).map(drop).unwrap_err().to_string();
    assert!(error.contains("at least 0.200"), "{error}");
}

/// Replaces the edit list of a file, if it has one, with one of another version and other edits of duration and media
/// time, which makes its index longer or shorter; no table of the index may point behind it.
fn with_edits(file: &[u8], long: bool, edits: &[(u64, i64)]) -> Vec<u8> {
    let find = |kind: &[u8]| Some(file.windows(4).position(|window| window == kind)? - 4);
    let size = |at: usize| u32::from_be_bytes(*file[at..].first_chunk().unwrap());
    let (moov, trak) = (find(b"moov").unwrap(), find(b"trak").unwrap());
    let (edts, old) = match find(b"edts") {
        Some(edts) => (edts, size(edts) as usize),
        None => (find(b"mdia").unwrap(), 0),
    };
    let mut list = vec![u8::from(long), 0, 0, 0];
    list.extend((edits.len() as u32).to_be_bytes());
    for (duration, media_time) in edits {
        if long {
            list.extend(duration.to_be_bytes());
            list.extend(media_time.to_be_bytes());
        } else {
            list.extend((*duration as u32).to_be_bytes());
            list.extend((*media_time as i32).to_be_bytes());
        }
        list.extend([0, 1, 0, 0]);
    }
    let elst = [&(list.len() as u32 + 8).to_be_bytes()[..], &b"elst"[..], &list[..]].concat();
    let new = [&(elst.len() as u32 + 8).to_be_bytes()[..], &b"edts"[..], &elst[..]].concat();
    let mut out = [&file[..edts], &new[..], &file[edts + old..]].concat();
    for parent in [moov, trak] {
        let grown = size(parent) + new.len() as u32 - old as u32;
        out[parent..parent + 4].copy_from_slice(&grown.to_be_bytes());
    }
    out
}

#[test]
fn empty_edits_of_both_versions_add_up() {
    let file = std::fs::read(fixture("x264_after_empty_edit.mp4")).unwrap();
    // The clock of the movie has 1000 ticks a second.
    let cases: [(&[(u64, i64)], f64); 4] = [
        (&[(1200, 0)], 0.0),
        (&[(300, -1), (1200, 0)], 0.3),
        (&[(300, -1), (150, -1), (1200, 0)], 0.45),
        (&[(0, -1), (1200, 0)], 0.0),
    ];
    for (edits, start) in cases {
        for long in [false, true] {
            let mut reader = VideoReader::new(Cursor::new(with_edits(&file, long, edits))).unwrap();
            let found = reader.time_of(0).unwrap();
            assert!((found - start).abs() < 1e-4, "{edits:?}: {found}");
            assert_eq!(number_of(reader.frame_at(start + 0.5).unwrap()), 5, "{edits:?}");
        }
    }
}

#[test]
fn without_an_edit_list_frames_are_shown_at_their_own_times() {
    // Reordered frames are shown later than decoded; PyAV gives the first frames these times.
    for (name, start) in [("x264_lerobot.mp4", 0.1), ("x264_reordered.mp4", 0.2), ("av1.mp4", 0.0)] {
        let mut file = std::fs::read(fixture(name)).unwrap();
        let edts = file.windows(4).position(|window| window == b"edts").unwrap();
        file[edts..edts + 4].copy_from_slice(b"free");
        let mut reader = VideoReader::new(Cursor::new(file)).unwrap();
        for index in [0, 1, 17, 39] {
            let time = start + index as f64 / 10.0;
            let found = reader.time_of(index).unwrap();
            assert!((found - time).abs() < 1e-4, "{name}: {found}");
            assert_eq!(number_of(reader.frame_at(time).unwrap()), index, "{name}");
        }
    }
}

#[test]
fn edits_of_a_fragmented_file_shift_its_own_times() {
    let file = std::fs::read(fixture("x264_fragments.mp4")).unwrap();
    let start = |file: Vec<u8>| VideoReader::new(Cursor::new(file)).unwrap().time_of(0).unwrap();
    // The first frame is shown 2048 ticks of 1/10240 s after the file begins.
    assert!((start(file.clone()) - 0.2).abs() < 1e-4);
    let cases: [(&[(u64, i64)], f64); 3] = [
        (&[(4000, 2048)], 0.0),
        (&[(4000, 1024)], 0.1),
        (&[(300, -1), (4000, 1024)], 0.4),
    ];
    for (edits, expected) in cases {
        let found = start(with_edits(&file, false, edits));
        assert!((found - expected).abs() < 1e-4, "{edits:?}: {found}");
    }
}

#[test]
fn the_announced_colour_matrix_is_used() {
    let mut reader = VideoReader::open(&fixture("x264_bt709.mp4")).unwrap();
    assert_colours(reader.frame(3).unwrap(), 6);
}

#[test]
fn what_is_not_decoded_is_named_with_the_command_that_converts_it() {
    for (name, what) in [
        ("hevc.mp4", "HEVC"),
        ("av1_10bit.mp4", "10 bits"),
        ("x264_lossless.mp4", "High 4:4:4 Predictive"),
    ] {
        let error = match VideoReader::open(&fixture(name)) {
            Err(error) => error,
            Ok(mut reader) => reader.frame(0).map(drop).unwrap_err(),
        };
        let message = error.to_string();
        assert!(message.contains(what) && message.contains("ffmpeg -i"), "{message}");
    }
}

#[test]
fn photographs_lose_little() {
    let mut random = rand::rngs::StdRng::seed_from_u64(3);
    let scene = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/scene.jpg")).unwrap();
    let mut image = RgbImage::default();
    thinkvla::camera::compressed::decode("jpeg", &scene, &mut image).unwrap();
    let (width, height) = (image.width() & !1, image.height() & !1);
    let mut even = RgbImage::new(width, height);
    for (to, from) in even.data_mut().chunks_exact_mut(width as usize * 3).zip(image.rows()) {
        to.copy_from_slice(&from[..width as usize * 3]);
    }
    // A little noise makes the frames differ.
    let frames: Vec<RgbImage> = (0..4)
        .map(|_| {
            let mut frame = even.clone();
            frame
                .data_mut()
                .iter_mut()
                .for_each(|v| *v = v.saturating_add(random.random_range(0..3)));
            frame
        })
        .collect();
    let file = encode(frames.iter().cloned(), VideoSettings::new(width, height, 10));
    let mut reader = VideoReader::new(Cursor::new(file)).unwrap();
    for (i, frame) in frames.iter().enumerate() {
        let read = reader.frame(i).unwrap();
        let squares = frame
            .data()
            .iter()
            .zip(read.data())
            .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
        let psnr = 10.0 * (255.0_f64.powi(2) * frame.data().len() as f64 / squares.sum::<f64>()).log10();
        println!("frame {i}: {psnr:.1} dB");
        assert!(psnr > 32.0, "frame {i}: {psnr:.1} dB");
    }
}

#[test]
fn frames_of_another_size_and_sizes_that_cannot_be_encoded_are_refused() {
    let mut writer = VideoWriter::new(Cursor::new(Vec::new()), VideoSettings::new(96, 64, 10)).unwrap();
    assert!(
        writer
            .push(&RgbImage::new(96, 66))
            .unwrap_err()
            .to_string()
            .contains("expected 96x64, found 96x66")
    );
    assert!(writer.finish().is_err(), "a video without frames");
    for (width, height) in [(95, 64), (96, 8), (8000, 64), (0, 0)] {
        assert!(VideoWriter::new(Cursor::new(Vec::new()), VideoSettings::new(width, height, 10)).is_err());
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_and_never_a_wrong_frame() {
    for whole in [
        encode((0..6).map(numbered), VideoSettings::new(96, 64, 10)),
        std::fs::read(fixture("av1.mp4")).unwrap(),
    ] {
        for length in (0..whole.len()).step_by(13) {
            assert!(
                VideoReader::new(Cursor::new(&whole[..length])).is_err(),
                "{length} of {}",
                whole.len()
            );
        }
    }
}

#[test]
fn flipped_bits_are_survived() {
    let mut random = rand::rngs::StdRng::seed_from_u64(11);
    let ours = encode((0..6).map(numbered), VideoSettings::new(96, 64, 10));
    let moov = ours.windows(4).position(|w| w == b"moov").unwrap();
    for _ in 0..4000 {
        let mut file = ours.clone();
        for _ in 0..random.random_range(1..4) {
            let place = random.random_range(moov..file.len());
            file[place] ^= 1 << random.random_range(0..8);
        }
        // Whatever the file claims, there are not more frames than bytes.
        if let Ok(reader) = VideoReader::new(Cursor::new(&file)) {
            assert!(reader.len() * 16 < file.len());
        }
    }
}

#[test]
fn asking_past_the_end_says_where_the_end_is() {
    let file = encode((0..6).map(numbered), VideoSettings::new(96, 64, 10));
    let mut reader = VideoReader::new(Cursor::new(file)).unwrap();
    for seconds in [0.6, -0.1, f64::NAN, f64::INFINITY] {
        let error = reader.frame_at(seconds).map(drop).unwrap_err();
        assert!(
            matches!(&error, VideoError::Request(m) if m.contains("0.600")),
            "{error}"
        );
    }
}

#[test]
fn the_description_has_lerobots_keys() {
    let info = feature_info(&VideoSettings::new(640, 480, 30));
    assert_eq!(info["video.codec"], "h264");
    assert_eq!(info["video.pix_fmt"], "yuv420p");
    assert_eq!(
        (&info["video.height"], &info["video.width"], &info["video.fps"]),
        (&480.into(), &640.into(), &30.into())
    );
    assert_eq!(
        (&info["has_audio"], &info["is_depth_map"]),
        (&false.into(), &false.into())
    );
}
