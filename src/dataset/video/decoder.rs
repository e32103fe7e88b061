//! Decodes samples to images: H.264 by openh264, AV1 by rav1d.

use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, DecoderConfig, Flush};
use openh264::formats::YUVSource as _;
use re_rav1d::dav1d::pixel::{MatrixCoefficients, YUVRange};
use re_rav1d::dav1d::{Picture, PixelLayout, PlanarImageComponent, Settings};

use super::colour::{ColourEncoding, Planes};
use super::demux::{Codec, Movie};
use super::error::VideoError;
use super::sps::Sps;

/// Receives each image, in the order of presentation.
pub type Sink<'a> = &'a mut dyn FnMut(&Planes<'_>, ColourEncoding) -> Result<(), VideoError>;

/// Decoder of one track.
pub enum Decoder {
    /// openh264, by Cisco.
    H264(Box<H264>),
    /// rav1d, a translation of dav1d.
    Av1(Box<Av1>),
}

/// State of the H.264 decoder.
pub struct H264 {
    decoder: openh264::decoder::Decoder,
    sets: Vec<Vec<u8>>,
    length_size: usize,
    size: (u32, u32),
    colour: Option<ColourEncoding>,
    packet: Vec<u8>,
    begins: bool,
    /// Number of images that the decoder holds back.
    held: usize,
}

/// State of the AV1 decoder.
pub struct Av1 {
    decoder: re_rav1d::dav1d::Decoder,
    size: (u32, u32),
}

impl Decoder {
    /// Creates a decoder for `movie`.
    ///
    /// # Errors
    /// When the codec cannot be set up.
    pub fn new(movie: &Movie) -> Result<Self, VideoError> {
        let size = (movie.width, movie.height);
        match &movie.codec {
            Codec::H264 { sets, length_size } => Ok(Self::H264(Box::new(H264 {
                decoder: openh264()?,
                sets: sets.clone(),
                length_size: *length_size,
                size,
                colour: None,
                packet: Vec::new(),
                begins: true,
                held: 0,
            }))),
            Codec::Av1 => {
                let mut settings = Settings::new();
                // One frame at a time: callers read different files on different threads.
                settings.set_n_threads(1);
                settings.set_max_frame_delay(1);
                settings.set_frame_size_limit(size.0.saturating_mul(size.1));
                let decoder = re_rav1d::dav1d::Decoder::with_settings(&settings).map_err(|e| failed(&e))?;
                Ok(Self::Av1(Box::new(Av1 { decoder, size })))
            }
        }
    }

    /// Resets the decoder: the next sample is one where decoding can begin.
    ///
    /// # Errors
    /// When the codec fails.
    pub fn restart(&mut self) -> Result<(), VideoError> {
        match self {
            Self::H264(h264) => {
                h264.begins = true;
                // Flushed images stay allocated in openh264 until it has none left.
                if std::mem::take(&mut h264.held) > 0 {
                    h264.decoder = openh264()?;
                }
                Ok(())
            }
            Self::Av1(av1) => {
                av1.decoder.flush();
                Ok(())
            }
        }
    }

    /// Decodes a sample and passes complete images to `sink`.
    ///
    /// # Errors
    /// When the sample is damaged, its images are not of the announced kind, or `sink` fails.
    pub fn feed(&mut self, sample: &[u8], sink: Sink<'_>) -> Result<(), VideoError> {
        match self {
            Self::H264(h264) => h264.feed(sample, sink),
            Self::Av1(av1) => av1.feed(sample, sink),
        }
    }

    /// Passes the images that were held back to `sink`, after the last sample.
    ///
    /// # Errors
    /// When the codec or `sink` fails.
    pub fn finish(&mut self, sink: Sink<'_>) -> Result<(), VideoError> {
        match self {
            Self::H264(h264) => h264.finish(sink),
            Self::Av1(av1) => av1.hand_over(sink),
        }
    }
}

fn openh264() -> Result<openh264::decoder::Decoder, VideoError> {
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    openh264::decoder::Decoder::with_api_config(OpenH264API::from_source(), config).map_err(|e| failed(&e))
}

fn failed(error: &dyn std::fmt::Display) -> VideoError {
    VideoError::malformed(format!("the decoder says: {error}"))
}

fn wrong_size(found: (u32, u32), announced: (u32, u32)) -> VideoError {
    VideoError::malformed(format!(
        "pictures of {}x{} in a file that announces {}x{}",
        found.0, found.1, announced.0, announced.1
    ))
}

impl H264 {
    fn feed(&mut self, sample: &[u8], sink: Sink<'_>) -> Result<(), VideoError> {
        self.packet.clear();
        if std::mem::take(&mut self.begins) {
            let sets = std::mem::take(&mut self.sets);
            let appended = sets.iter().try_for_each(|set| self.append(set));
            self.sets = sets;
            appended?;
        }
        let mut rest = sample;
        while !rest.is_empty() {
            let (length, after) = rest
                .split_at_checked(self.length_size)
                .ok_or_else(|| failed(&"a unit is cut off"))?;
            let length = length
                .iter()
                .fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
            let (unit, after) = after
                .split_at_checked(length)
                .ok_or_else(|| failed(&"a unit is cut off"))?;
            self.append(unit)?;
            rest = after;
        }
        let colour = self
            .colour
            .ok_or_else(|| failed(&"no parameter set before the first picture"))?;
        match self.decoder.decode(&self.packet) {
            Ok(Some(picture)) => sink(&planes(&picture), colour),
            Ok(None) => {
                self.held += 1;
                Ok(())
            }
            Err(e) => Err(failed(&e)),
        }
    }

    /// Appends a unit to the next packet. Parameter sets are checked, because the decoder allocates by them.
    fn append(&mut self, unit: &[u8]) -> Result<(), VideoError> {
        if unit.first().is_some_and(|header| header & 31 == 7) {
            let sps = Sps::parse(unit)?;
            if (sps.width, sps.height) != self.size {
                return Err(wrong_size((sps.width, sps.height), self.size));
            }
            self.colour = Some(sps.colour);
        }
        self.packet.extend([0, 0, 0, 1]);
        self.packet.extend(unit);
        Ok(())
    }

    fn finish(&mut self, sink: Sink<'_>) -> Result<(), VideoError> {
        let Some(colour) = self.colour else { return Ok(()) };
        let pictures = self.decoder.flush_remaining().map_err(|e| failed(&e))?;
        pictures.iter().try_for_each(|picture| sink(&planes(picture), colour))
    }
}

fn planes<'a>(picture: &'a DecodedYUV<'_>) -> Planes<'a> {
    let (width, height) = picture.dimensions();
    let (y, u, v) = picture.strides();
    Planes {
        width,
        height,
        data: [picture.y(), picture.u(), picture.v()],
        strides: [y, u, v],
    }
}

impl Av1 {
    fn feed(&mut self, sample: &[u8], sink: Sink<'_>) -> Result<(), VideoError> {
        let mut sent = self.decoder.send_data(sample.to_vec(), None, None, None);
        while let Err(e) = sent {
            if !e.is_again() {
                return Err(failed(&e));
            }
            self.hand_over(sink)?;
            sent = self.decoder.send_pending_data();
        }
        self.hand_over(sink)
    }

    fn hand_over(&mut self, sink: Sink<'_>) -> Result<(), VideoError> {
        loop {
            match self.decoder.get_picture() {
                Ok(picture) => self.hand_over_one(&picture, sink)?,
                Err(e) if e.is_again() => return Ok(()),
                Err(e) => return Err(failed(&e)),
            }
        }
    }

    fn hand_over_one(&self, picture: &Picture, sink: Sink<'_>) -> Result<(), VideoError> {
        if picture.pixel_layout() != PixelLayout::I420 || picture.bit_depth() != 8 {
            let found = format!("AV1 of {} bits, {:?}", picture.bit_depth(), picture.pixel_layout());
            return Err(VideoError::unsupported(found));
        }
        let size = (picture.width(), picture.height());
        if size != self.size {
            return Err(wrong_size(size, self.size));
        }
        let matrix = match picture.matrix_coefficients() {
            MatrixCoefficients::BT709 => 1,
            MatrixCoefficients::Unspecified => 2,
            MatrixCoefficients::BT470BG => 5,
            MatrixCoefficients::ST170M => 6,
            MatrixCoefficients::BT2020NonConstantLuminance => 9,
            other => return Err(VideoError::unsupported(format!("AV1 with colour matrix {other:?}"))),
        };
        let colour = ColourEncoding::from_code_points(matrix, picture.color_range() == YUVRange::Full)?;
        let components = [
            PlanarImageComponent::Y,
            PlanarImageComponent::U,
            PlanarImageComponent::V,
        ];
        let [y, u, v] = components.map(|component| picture.plane(component));
        let strides = components.map(|component| picture.stride(component) as usize);
        let planes = Planes {
            width: size.0 as usize,
            height: size.1 as usize,
            data: [&y, &u, &v],
            strides,
        };
        sink(&planes, colour)
    }
}
