//! Whatever a message in a recording holds, it is refused or read, and takes no more memory than its bytes allow.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use thinkvla::dataset::mcap::messages::{
    ActionChunk, CompressedImage, Image, JointState, PoseStamped, decode_array, decode_text,
};

fuzz_target!(|data: &[u8]| {
    let taken = common::taken(|| {
        drop(JointState::decode(data));
        drop(PoseStamped::decode(data));
        drop(CompressedImage::decode(data));
        drop(Image::decode(data));
        drop(ActionChunk::decode(data));
        drop(decode_text(data));
        drop(decode_array(data, true));
        drop(decode_array(data, false));
    });
    // A name of a joint is 24 bytes in memory and at least 5 in the message; lists grow by doubling.
    assert!(taken <= 24 * data.len() + 4096, "{taken} bytes of memory for a message of {} bytes", data.len());
    if let Ok(joints) = JointState::decode(data) {
        let again = JointState::decode(&joints.encode()).unwrap();
        assert_eq!(joints.names, again.names);
        assert_eq!(joints.positions.len(), again.positions.len());
    }
});
