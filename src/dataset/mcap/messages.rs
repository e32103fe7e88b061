//! Messages that datasets are exported to and imported from.

use super::cdr::{CdrError, CdrReader, CdrWriter};

/// Types and their definitions, as rosbag2 writes them (`ros2msg`).
pub mod schema {
    macro_rules! part {
        ($name:literal, $fields:literal) => {
            concat!(
                "================================================================================\nMSG: ",
                $name,
                "\n",
                $fields
            )
        };
    }
    macro_rules! header {
        () => {
            concat!(
                part!(
                    "std_msgs/Header",
                    "builtin_interfaces/Time stamp\nstring frame_id\n"
                ),
                part!("builtin_interfaces/Time", "int32 sec\nuint32 nanosec\n")
            )
        };
    }

    /// `sensor_msgs/msg/JointState`.
    pub const JOINT_STATE: [&str; 2] = [
        "sensor_msgs/msg/JointState",
        concat!(
            "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n",
            header!()
        ),
    ];
    /// `geometry_msgs/msg/PoseStamped`.
    pub const POSE_STAMPED: [&str; 2] = [
        "geometry_msgs/msg/PoseStamped",
        concat!(
            "std_msgs/Header header\nPose pose\n",
            part!("geometry_msgs/Pose", "Point position\nQuaternion orientation\n"),
            part!("geometry_msgs/Point", "float64 x\nfloat64 y\nfloat64 z\n"),
            part!(
                "geometry_msgs/Quaternion",
                "float64 x 0\nfloat64 y 0\nfloat64 z 0\nfloat64 w 1\n"
            ),
            header!()
        ),
    ];
    /// `sensor_msgs/msg/CompressedImage`.
    pub const COMPRESSED_IMAGE: [&str; 2] = [
        "sensor_msgs/msg/CompressedImage",
        concat!("std_msgs/Header header\nstring format\nuint8[] data\n", header!()),
    ];
    /// `std_msgs/msg/String`.
    pub const STRING: [&str; 2] = ["std_msgs/msg/String", "string data\n"];
    /// `thinkvla/msg/ActionChunk`.
    pub const ACTION_CHUNK: [&str; 2] = [
        "thinkvla/msg/ActionChunk",
        concat!(include_str!("../../../msg/ActionChunk.msg"), header!()),
    ];
}

/// Stamp and frame of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordedHeader {
    /// Stamp (ns).
    pub stamp: u64,
    /// Name of the frame.
    pub frame_id: String,
}

impl RecordedHeader {
    fn write(&self, out: &mut CdrWriter) {
        out.time(self.stamp);
        out.text(&self.frame_id);
    }

    fn read(fields: &mut CdrReader<'_>) -> Result<Self, CdrError> {
        Ok(Self {
            stamp: fields.time()?,
            frame_id: fields.text()?.to_owned(),
        })
    }
}

/// Named joint positions, as `sensor_msgs/msg/JointState`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JointState {
    /// Stamp.
    pub header: RecordedHeader,
    /// Names of the joints.
    pub names: Vec<String>,
    /// Positions, in the order of the names (rad or m).
    pub positions: Vec<f64>,
}

impl JointState {
    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = CdrWriter::default();
        self.header.write(&mut out);
        out.u32(self.names.len() as u32);
        self.names.iter().for_each(|name| out.text(name));
        out.doubles(&self.positions);
        out.doubles(&[]);
        out.doubles(&[]);
        out.finish()
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode(message: &[u8]) -> Result<Self, CdrError> {
        let mut fields = CdrReader::new(message)?;
        Ok(Self {
            header: RecordedHeader::read(&mut fields)?,
            names: fields.sequence(|fields| fields.text().map(str::to_owned))?,
            positions: fields.sequence(CdrReader::f64)?,
        })
    }
}

/// A pose, as `geometry_msgs/msg/PoseStamped`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PoseStamped {
    /// Stamp and frame of reference.
    pub header: RecordedHeader,
    /// Position (m).
    pub position: [f64; 3],
    /// Orientation: x, y, z, w.
    pub orientation: [f64; 4],
}

impl PoseStamped {
    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = CdrWriter::default();
        self.header.write(&mut out);
        self.position
            .iter()
            .chain(&self.orientation)
            .for_each(|value| out.f64(*value));
        out.finish()
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode(message: &[u8]) -> Result<Self, CdrError> {
        let mut fields = CdrReader::new(message)?;
        let header = RecordedHeader::read(&mut fields)?;
        let mut values = [0.0; 7];
        for value in &mut values {
            *value = fields.f64()?;
        }
        let [x, y, z, qx, qy, qz, qw] = values;
        Ok(Self {
            header,
            position: [x, y, z],
            orientation: [qx, qy, qz, qw],
        })
    }
}

/// Encoded image, as `sensor_msgs/msg/CompressedImage`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompressedImage {
    /// Stamp and camera.
    pub header: RecordedHeader,
    /// `jpeg` or `png`.
    pub format: String,
    /// Content of the image file.
    pub data: Vec<u8>,
}

impl CompressedImage {
    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = CdrWriter::default();
        self.header.write(&mut out);
        out.text(&self.format);
        out.bytes(&self.data);
        out.finish()
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode(message: &[u8]) -> Result<Self, CdrError> {
        let mut fields = CdrReader::new(message)?;
        Ok(Self {
            header: RecordedHeader::read(&mut fields)?,
            format: fields.text()?.to_owned(),
            data: fields.bytes()?.to_vec(),
        })
    }
}

/// Raw image, as `sensor_msgs/msg/Image`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// Stamp and camera.
    pub header: RecordedHeader,
    /// Height (px).
    pub height: u32,
    /// Width (px).
    pub width: u32,
    /// Pixel format, e.g. `rgb8`.
    pub encoding: String,
    /// Length of a row (bytes).
    pub step: u32,
    /// Pixels, row by row.
    pub data: Vec<u8>,
}

impl Image {
    /// Decodes a message.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode(message: &[u8]) -> Result<Self, CdrError> {
        let mut fields = CdrReader::new(message)?;
        let header = RecordedHeader::read(&mut fields)?;
        let (height, width) = (fields.u32()?, fields.u32()?);
        let encoding = fields.text()?.to_owned();
        fields.u8()?;
        Ok(Self {
            header,
            height,
            width,
            encoding,
            step: fields.u32()?,
            data: fields.bytes()?.to_vec(),
        })
    }
}

/// Encodes a text as `std_msgs/msg/String`.
pub fn encode_text(text: &str) -> Vec<u8> {
    let mut out = CdrWriter::default();
    out.text(text);
    out.finish()
}

/// Decodes the text of a `std_msgs/msg/String`.
///
/// # Errors
/// When it is malformed.
pub fn decode_text(message: &[u8]) -> Result<String, CdrError> {
    CdrReader::new(message)?.text().map(str::to_owned)
}

/// Action chunk: the part of `thinkvla/msg/ActionChunk` that datasets need.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordedChunk {
    /// Stamp of publication.
    pub header: RecordedHeader,
    /// Action space: 0 end-effector steps, 1 joints.
    pub space: u8,
    /// Composition of the steps: 0 step by step, 1 from the anchor.
    pub composition: u8,
    /// Pose that steps refer to: 0 commanded, 1 measured.
    pub reference: u8,
    /// Time between steps (s).
    pub step_period: f64,
    /// Values per step.
    pub dim: u32,
    /// Steps, one after another.
    pub values: Vec<f64>,
    /// Time that the chunk is anchored at (ns).
    pub observation_stamp: u64,
    /// Time after which the chunk must not be started (ns).
    pub expires: u64,
    /// Name of the source.
    pub source: String,
    /// Number of the plan, which counts up per source.
    pub plan_id: u64,
}

impl RecordedChunk {
    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = CdrWriter::default();
        self.header.write(&mut out);
        [self.space, self.composition, self.reference]
            .iter()
            .for_each(|value| out.u8(*value));
        out.f64(self.step_period);
        out.u32(self.values.len() as u32 / self.dim.max(1));
        out.u32(self.dim);
        out.doubles(&self.values);
        out.time(self.observation_stamp);
        // no camera stamps
        out.u32(0);
        out.time(self.expires);
        out.text(&self.source);
        // no lease
        out.u64(0);
        out.u64(self.plan_id);
        out.text("");
        (0..3).for_each(|_| out.f32(0.0));
        out.finish()
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode(message: &[u8]) -> Result<Self, CdrError> {
        let mut fields = CdrReader::new(message)?;
        let header = RecordedHeader::read(&mut fields)?;
        let (space, composition, reference) = (fields.u8()?, fields.u8()?, fields.u8()?);
        let step_period = fields.f64()?;
        fields.u32()?;
        let dim = fields.u32()?;
        let values = fields.sequence(CdrReader::f64)?;
        let observation_stamp = fields.time()?;
        fields.sequence(CdrReader::time)?;
        Ok(Self {
            header,
            space,
            composition,
            reference,
            step_period,
            dim,
            values,
            observation_stamp,
            expires: fields.time()?,
            source: fields.text()?.to_owned(),
            plan_id: {
                fields.u64()?;
                fields.u64()?
            },
        })
    }
}

/// Decodes the numbers of a `std_msgs/msg/Float64MultiArray` (`wide`) or `Float32MultiArray`.
///
/// # Errors
/// When the message is malformed.
pub fn decode_array(message: &[u8], wide: bool) -> Result<Vec<f64>, CdrError> {
    let mut fields = CdrReader::new(message)?;
    fields.sequence(|fields| {
        fields.text()?;
        fields.u32()?;
        fields.u32()
    })?;
    fields.u32()?;
    if wide {
        return fields.sequence(CdrReader::f64);
    }
    fields.sequence(|fields| fields.f32().map(f64::from))
}
