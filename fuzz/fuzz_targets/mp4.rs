//! Fuzzes the index of mp4 files: any content is refused or gives a valid index, within twice the file's size of memory.
//!
//! Images are not decoded: the target is the reader of the container, not the codecs.
#![no_main]

mod common;

use std::io::Cursor;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::video::demux::Movie;
use thinkvla::dataset::video::{VideoReader, VideoSettings, VideoWriter};

/// Memory allowed in addition to twice the size of the file: error messages, and the frames that are always permitted, in
/// lists that grow by doubling (bytes).
const MARGIN: usize = 4096 + (256 << 10);

fn seed() {
    let corpus = common::corpus("mp4");
    let mut writer = VideoWriter::new(Cursor::new(Vec::new()), VideoSettings::new(16, 16, 10)).unwrap();
    for _ in 0..4 {
        writer.push(&RgbImage::new(16, 16)).unwrap();
    }
    std::fs::write(corpus.join("ours"), writer.finish().unwrap().into_inner()).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/video");
    for name in [
        "av1.mp4",
        "x264_reordered.mp4",
        "x264_fragments.mp4",
        "x264_late.mp4",
        "hevc.mp4",
    ] {
        std::fs::copy(fixtures.join(name), corpus.join(name)).unwrap();
    }
}

fuzz_target!(
    init: seed(),
    |data: &[u8]| {
        let taken = common::taken(|| {
            if let Ok(movie) = Movie::read(&mut Cursor::new(data), data.len() as u64) {
                for sample in &movie.samples {
                    assert!(sample.offset + u64::from(sample.size) <= data.len() as u64);
                    assert!((sample.shown as usize) < movie.samples.len());
                }
                assert!(movie.samples.first().is_some_and(|first| first.entry));
            }
        });
        assert!(taken <= 2 * data.len() + MARGIN, "{taken} bytes of memory for a file of {} bytes", data.len());
        if let Ok(reader) = VideoReader::new(Cursor::new(data)) {
            for seconds in [0.0, 0.1, 1e9, f64::NAN] {
                if let Ok(index) = reader.index_at(seconds) {
                    assert!(index < reader.len());
                }
            }
        }
    }
);
