//! Encodes frames to H.264 in mp4.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use openh264::OpenH264API;
use openh264::encoder::{
    ColorPrimaries, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, MatrixCoefficients, Profile,
    QpRange, RateControlMode, SpsPpsStrategy, TransferCharacteristics, UsageType, VuiConfig,
};

use super::colour::{ColourEncoding, Yuv420};
use super::error::VideoError;
use super::mux::{Mp4Writer, Track};
use crate::camera::rgb::RgbImage;

/// Settings of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoSettings {
    /// Width of every frame (px), even, 16 to 3840.
    pub width: u32,
    /// Height of every frame (px), even, 16 to 2160.
    pub height: u32,
    /// Frame rate (Hz).
    pub fps: u32,
    /// Frames from one key frame to the next. With 2, as in LeRobot, training reads any frame by decoding two.
    pub gop: u32,
    /// Quantisation parameter, from 12 (best) to 51; 6 more halve the precision.
    pub qp: u8,
}

impl VideoSettings {
    /// Returns the default settings.
    pub fn new(width: u32, height: u32, fps: u32) -> Self {
        Self {
            width,
            height,
            fps,
            gop: 2,
            qp: 22,
        }
    }

    fn track(&self) -> Result<Track, VideoError> {
        let even = |side: u32, most: u32| side.is_multiple_of(2) && (16..=most).contains(&side);
        let (long, short) = (self.width.max(self.height), self.width.min(self.height));
        if !(even(long, 3840) && even(short, 2160)) {
            return Err(VideoError::Request(format!(
                "video of {}x{}: expected even sides from 16 to 3840 and 2160; crop or resize, or record images",
                self.width, self.height
            )));
        }
        if !((1..=1000).contains(&self.fps) && self.gop >= 1 && (12..=51).contains(&self.qp)) {
            return Err(VideoError::Request(format!(
                "video at {} Hz, a key frame every {}, qp {}: expected 1 to 1000 Hz, at least 1, 12 to 51",
                self.fps, self.gop, self.qp
            )));
        }
        Ok(Track {
            width: self.width as u16,
            height: self.height as u16,
            fps: self.fps,
        })
    }
}

/// Encodes frames into a file, one sample each; none is dropped or reordered.
pub struct VideoWriter<W> {
    settings: VideoSettings,
    encoder: Encoder,
    file: Mp4Writer<W>,
    yuv: Yuv420,
    sps: Vec<u8>,
    pps: Vec<u8>,
    sample: Vec<u8>,
}

impl VideoWriter<BufWriter<File>> {
    /// Begins the file `path`, which must not exist yet.
    ///
    /// # Errors
    /// When the settings are not supported or the file cannot be created.
    pub fn create(path: &Path, settings: VideoSettings) -> Result<Self, VideoError> {
        let file = File::create_new(path).map_err(VideoError::file("create", path))?;
        Self::new(BufWriter::with_capacity(1 << 18, file), settings)
    }
}

impl<W: Write + Seek> VideoWriter<W> {
    /// Begins a file at the start of `out`.
    ///
    /// # Errors
    /// When the settings are not supported or writing fails.
    pub fn new(out: W, settings: VideoSettings) -> Result<Self, VideoError> {
        let file = Mp4Writer::new(out, settings.track()?)?;
        // The matrix is ffmpeg's default, stated explicitly; the other properties of a camera are unknown.
        let vui = VuiConfig::bt601()
            .color_primaries(ColorPrimaries::Unspecified)
            .transfer_characteristics(TransferCharacteristics::Unspecified)
            .matrix_coefficients(MatrixCoefficients::Smpte170M)
            .full_range(ColourEncoding::WRITTEN.full_range);
        let config = EncoderConfig::new()
            .skip_frames(false)
            .max_frame_rate(FrameRate::from_hz(settings.fps as f32))
            .usage_type(UsageType::CameraVideoRealTime)
            // The only mode that neither skips frames nor warns that it may not.
            .rate_control_mode(RateControlMode::Bufferbased)
            .qp(QpRange::new(settings.qp, settings.qp))
            .sps_pps_strategy(SpsPpsStrategy::ConstantId)
            .profile(Profile::Baseline)
            .scene_change_detect(false)
            .adaptive_quantization(false)
            .background_detection(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames(settings.gop))
            .num_threads(1)
            .vui(vui);
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(|e| codec(0, e))?;
        Ok(Self {
            settings,
            encoder,
            file,
            yuv: Yuv420::default(),
            sps: Vec::new(),
            pps: Vec::new(),
            sample: Vec::new(),
        })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// When it has another size, the codec fails, or the file cannot be written.
    pub fn push(&mut self, image: &RgbImage) -> Result<(), VideoError> {
        let frame = self.file.len();
        let VideoSettings { width, height, gop, .. } = self.settings;
        if (image.width(), image.height()) != (width, height) {
            return Err(VideoError::Request(format!(
                "frame {frame}: expected {width}x{height}, found {}x{}",
                image.width(),
                image.height()
            )));
        }
        self.yuv.convert(image, ColourEncoding::WRITTEN);
        let encoded = self.encoder.encode(&self.yuv).map_err(|e| codec(frame, e))?;
        let key = encoded.frame_type() == FrameType::IDR;
        self.sample.clear();
        for layer in (0..encoded.num_layers()).filter_map(|i| encoded.layer(i)) {
            for nal in (0..layer.nal_count()).filter_map(|i| layer.nal_unit(i)) {
                let unit = without_start_code(nal);
                match unit.first().map(|header| header & 31) {
                    Some(7) => keep(&mut self.sps, unit, frame)?,
                    Some(8) => keep(&mut self.pps, unit, frame)?,
                    Some(_) => {
                        self.sample.extend((unit.len() as u32).to_be_bytes());
                        self.sample.extend(unit);
                    }
                    None => {}
                }
            }
        }
        if self.sample.is_empty() || key != frame.is_multiple_of(gop as usize) {
            let problem = format!("the encoder gave {} bytes, key frame: {key}", self.sample.len());
            return Err(VideoError::Codec { frame, problem });
        }
        self.file.push(&self.sample, key)
    }

    /// Returns the number of frames.
    pub fn len(&self) -> usize {
        self.file.len()
    }

    /// Returns whether there is no frame yet.
    pub fn is_empty(&self) -> bool {
        self.file.is_empty()
    }

    /// Completes the file and returns it; it cannot be read before. The caller has to sync it to disk.
    ///
    /// # Errors
    /// When there is no frame or the file cannot be written.
    pub fn finish(self) -> Result<W, VideoError> {
        if self.is_empty() {
            return Err(VideoError::Request("a video needs at least one frame".into()));
        }
        self.file.finish(&self.sps, &self.pps)
    }
}

fn codec(frame: usize, error: openh264::Error) -> VideoError {
    VideoError::Codec {
        frame,
        problem: error.to_string(),
    }
}

fn without_start_code(nal: &[u8]) -> &[u8] {
    let long = nal.strip_prefix(&[0, 0, 0, 1]);
    long.or_else(|| nal.strip_prefix(&[0, 0, 1])).unwrap_or(nal)
}

/// Keeps a parameter set and refuses a different one: the container holds each set once.
fn keep(kept: &mut Vec<u8>, unit: &[u8], frame: usize) -> Result<(), VideoError> {
    if kept.is_empty() {
        kept.extend(unit);
    }
    if kept == unit {
        return Ok(());
    }
    let problem = "the encoder changed its parameters".into();
    Err(VideoError::Codec { frame, problem })
}
