//! Fuzzes the decoders of messages in recordings: any bytes are refused or decoded, within memory bounded by their length.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use thinkvla::dataset::mcap::compression::{self, LONGEST_MESSAGE};
use thinkvla::dataset::mcap::messages::{
    CompressedImage, Image, JointState, PoseStamped, RecordedChunk, decode_array, decode_text,
};

fuzz_target!(|data: &[u8]| {
    // As rosbag2 compresses each message: the output is bounded, and is decoded like any message.
    for packed in [data.to_vec(), frame(data)] {
        if let Ok(message) = compression::message(&packed) {
            assert!(message.len() <= LONGEST_MESSAGE.max(data.len()));
            decode(&message);
        }
    }
    assert_eq!(compression::message(&stored(data)).as_deref(), Ok(data));
    decode(data);
});

/// A Zstandard frame with these bytes as its blocks, because random bytes rarely form its header.
fn frame(blocks: &[u8]) -> Vec<u8> {
    // A window of 1 MiB, no announced length.
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50][..], blocks].concat()
}

/// A Zstandard frame that stores these bytes uncompressed.
fn stored(data: &[u8]) -> Vec<u8> {
    let pieces: Vec<&[u8]> = data.chunks(1 << 16).collect();
    let mut blocks = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let is_last = u32::from(at + 1 == pieces.len());
        blocks.extend(&((piece.len() as u32) << 3 | is_last).to_le_bytes()[..3]);
        blocks.extend(*piece);
    }
    if pieces.is_empty() {
        blocks.extend([1, 0, 0]);
    }
    frame(&blocks)
}

fn decode(data: &[u8]) {
    let taken = common::taken(|| {
        drop(JointState::decode(data));
        drop(PoseStamped::decode(data));
        drop(CompressedImage::decode(data));
        drop(Image::decode(data));
        drop(RecordedChunk::decode(data));
        drop(decode_text(data));
        drop(decode_array(data, true));
        drop(decode_array(data, false));
    });
    // A joint's name takes 24 bytes in memory and at least 5 in the message, and lists grow by doubling.
    assert!(
        taken <= 24 * data.len() + 4096,
        "{taken} bytes of memory for a message of {} bytes",
        data.len()
    );
    if let Ok(joints) = JointState::decode(data) {
        let again = JointState::decode(&joints.encode()).unwrap();
        assert_eq!(joints.names, again.names);
        assert_eq!(joints.positions.len(), again.positions.len());
    }
}
