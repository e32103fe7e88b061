//! Errors of single messages and of the messages of a topic.

use super::cdr::CdrError;

/// Error of a message or of the messages of a topic. It does not name the recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The message is malformed.
    #[error(transparent)]
    Cdr(#[from] CdrError),
    /// The message comes from ROS 1.
    #[error(
        "expected messages of ROS 2 (cdr), found those of ROS 1; convert the bag with rosbags-convert, which translates \
         them"
    )]
    Ros1,
    /// The message has another encoding.
    #[error("expected messages of ROS 2 (cdr), found encoding {0:?}")]
    Encoding(String),
    /// The compressed message is damaged.
    #[error("a message compressed with zstd is damaged: {0}")]
    Compressed(String),
    /// The message is too long once it is decompressed.
    #[error("a message of {found} bytes, compressed with zstd: expected at most {most} bytes to come out, found more")]
    TooLong {
        /// Length of the compressed message (bytes).
        found: usize,
        /// Maximum length of the decompressed message (bytes).
        most: usize,
    },
    /// The numbers of names and of positions differ.
    #[error("{names} names and {positions} positions")]
    Uneven {
        /// Number of names.
        names: usize,
        /// Number of positions.
        positions: usize,
    },
    /// A joint is there more than once.
    #[error("expected each joint once in a message, found {0} twice")]
    Twice(String),
    /// A pose has no orientation.
    #[error("a quaternion of length 0")]
    Quaternion,
    /// An action chunk has an unknown space or number of values.
    #[error("a chunk of space {space} with {dim} values a step")]
    Chunk {
        /// Action space.
        space: u8,
        /// Values per step.
        dim: usize,
    },
    /// Messages of this type have no numbers.
    #[error("expected JointState, PoseStamped, thinkvla ActionChunk or Float32/64MultiArray, found {0}")]
    NoNumbers(String),
    /// Messages of this type have no image.
    #[error("expected CompressedImage or Image, found {0}")]
    NoImage(String),
    /// The image has an unsupported format or is damaged.
    #[error("{0}")]
    Image(String),
    /// The message has other values than the first one of its topic.
    #[error("expected values {expected:?} as in its first message, found {found:?}")]
    OtherValues {
        /// Names of the values of the first message.
        expected: Vec<String>,
        /// Names of the values of this message.
        found: Vec<String>,
    },
    /// The topic does not have a requested value.
    #[error("expected values among {known:?}, found {name:?}")]
    UnknownValue {
        /// Names of the values of the topic.
        known: Vec<String>,
        /// Name of the requested value.
        name: String,
    },
    /// All messages of the topic have one time; their number.
    #[error("expected times that go on, found {0} messages of the same time")]
    Standing(usize),
    /// The times of the topic go back, as when a clock is set or a simulation starts again.
    #[error(
        "expected times that go on, but message {number} is {by} before an earlier one; cut the recording there, or \
         import by the other times (--clock log, or --clock header)"
    )]
    Back {
        /// Number of the message among those of its topic, from 1.
        number: usize,
        /// How far it is back, with the unit.
        by: String,
    },
}
