//! Conversion between images and messages. All nodes decode arrived images here, so that they see the same pixels and
//! refuse the same images.

use std::hash::{DefaultHasher, Hasher as _};

// The RMW-native types: the idiomatic ones copy element by element.
use ros_env::builtin_interfaces::msg::rmw::Time as StampMessage;
use ros_env::sensor_msgs::msg::rmw::{CompressedImage, Image};

use crate::camera::compressed::{self, Compression, DecodeError};
use crate::camera::image_view::{ImageError, ImageFields, ImageView};
use crate::camera::rgb::RgbImage;
use crate::camera::stream_health::content_hash;
use crate::ros::node::time::{from_message, to_message};
use crate::types::time::Time;

/// An image as delivered, undecoded.
#[derive(Debug)]
pub enum Payload {
    /// Uncompressed pixels.
    Raw(Image),
    /// JPEG or PNG.
    Compressed(CompressedImage),
}

/// Error in an image message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageMessageError {
    /// The fields of a raw image do not describe one.
    #[error(transparent)]
    Raw(#[from] ImageError),
    /// A compressed image cannot be decoded.
    #[error(transparent)]
    Compressed(#[from] DecodeError),
}

impl Payload {
    /// Frame id of its header.
    pub fn frame(&self) -> String {
        match self {
            Self::Raw(image) => image.header.frame_id.to_string(),
            Self::Compressed(image) => image.header.frame_id.to_string(),
        }
    }

    /// Stamp of its header.
    pub fn stamp(&self) -> Time {
        stamp_of(match self {
            Self::Raw(image) => &image.header.stamp,
            Self::Compressed(image) => &image.header.stamp,
        })
    }

    /// Decodes the image into `rgb`, whose allocation is reused.
    ///
    /// # Errors
    /// When the image is malformed or its encoding is not supported; `rgb` is then unspecified.
    pub fn decode(&self, rgb: &mut RgbImage) -> Result<(), ImageMessageError> {
        match self {
            Self::Raw(image) => view(image)?.to_rgb(rgb),
            Self::Compressed(image) => compressed::decode(&image.format.to_string(), &image.data, rgb)?,
        }
        Ok(())
    }

    /// Width and height of the decoded image (px). The header of a compressed image does not have them.
    ///
    /// # Errors
    /// As for [`Self::decode`].
    pub fn size(&self) -> Result<(u32, u32), ImageMessageError> {
        match self {
            Self::Raw(image) => {
                let view = view(image)?;
                Ok((view.width(), view.height()))
            }
            Self::Compressed(_) => {
                let mut rgb = RgbImage::default();
                self.decode(&mut rgb)?;
                Ok((rgb.width(), rgb.height()))
            }
        }
    }

    /// Hash of the image's content, for the detection of repeated images.
    ///
    /// # Errors
    /// Names what makes the image undecodable: fields of a raw image, format of a compressed one, whose data is not decoded.
    pub fn fingerprint(&self) -> Result<u64, ImageMessageError> {
        match self {
            Self::Raw(image) => Ok(content_hash(&view(image)?)),
            Self::Compressed(image) => {
                Compression::parse(&image.format.to_string())?;
                let mut hasher = DefaultHasher::new();
                hasher.write(&image.data);
                Ok(hasher.finish())
            }
        }
    }
}

/// Views a raw image, after checks of its fields.
///
/// # Errors
/// Names the first field that does not fit.
pub fn view(image: &Image) -> Result<ImageView<'_>, ImageError> {
    ImageView::new(ImageFields {
        width: image.width,
        height: image.height,
        encoding: image.encoding.to_cstr().to_str().unwrap_or("<not text>"),
        step: image.step,
        data: &image.data,
    })
}

/// Creates a message of RGB pixels, rows from the top without padding; its header is empty.
pub fn rgb8(width: u32, height: u32, data: &[u8]) -> Image {
    Image {
        width,
        height,
        encoding: "rgb8".into(),
        step: 3 * width,
        data: data.into(),
        ..Image::default()
    }
}

/// Converts the stamp of an image's header.
pub fn stamp_of(stamp: &StampMessage) -> Time {
    from_message(&ros_env::builtin_interfaces::msg::Time {
        sec: stamp.sec,
        nanosec: stamp.nanosec,
    })
}

/// Sets the stamp of an image's header.
pub fn set_stamp(image: &mut Image, stamp: Time) {
    let stamp = to_message(stamp);
    image.header.stamp.sec = stamp.sec;
    image.header.stamp.nanosec = stamp.nanosec;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::frame::{ImageMode, Picture};

    const PIXELS: [u8; 24] = [7; 24];

    fn complaint(break_it: impl FnOnce(&mut Image)) -> String {
        let mut image = rgb8(4, 2, &PIXELS);
        break_it(&mut image);
        Payload::Raw(image).fingerprint().unwrap_err().to_string()
    }

    fn compressed(format: &str, data: &[u8]) -> Payload {
        Payload::Compressed(CompressedImage {
            format: format.into(),
            data: data.into(),
            ..Default::default()
        })
    }

    #[test]
    fn malformed_images_are_refused_with_expected_and_found() {
        assert!(Payload::Raw(rgb8(4, 2, &PIXELS)).fingerprint().is_ok());
        assert!(complaint(|i| i.encoding = "32FC1".into()).contains("32FC1"));
        assert!(complaint(|i| i.data = vec![7_u8; 23].into()).contains("expected at least 24"));
        assert!(complaint(|i| i.step = 11).contains("expected at least 12"));
        assert!(complaint(|i| i.width = u32::MAX).contains("expected"));
        let unknown = compressed("h264", &[]).fingerprint().unwrap_err();
        assert!(unknown.to_string().contains("h264"));
    }

    #[test]
    fn raw_and_compressed_images_decode_to_the_same_pixels_and_size() {
        let mut expected = RgbImage::new(4, 2);
        expected.data_mut().copy_from_slice(&PIXELS);
        let png = Picture::encode(&expected, ImageMode::Png).unwrap().bytes;
        for payload in [
            Payload::Raw(rgb8(4, 2, &PIXELS)),
            compressed("rgb8; png compressed", &png),
        ] {
            let mut found = RgbImage::default();
            payload.decode(&mut found).unwrap();
            assert_eq!(found, expected);
            assert_eq!(payload.size(), Ok((4, 2)));
        }
    }

    #[test]
    fn the_format_of_a_compressed_image_must_be_named_and_true() {
        let png = Picture::encode(&RgbImage::new(4, 2), ImageMode::Png).unwrap().bytes;
        for format in ["", "jpeg"] {
            assert!(
                compressed(format, &png).decode(&mut RgbImage::default()).is_err(),
                "{format}"
            );
            assert!(compressed(format, &png).size().is_err(), "{format}");
        }
    }

    #[test]
    fn a_stamp_survives_a_round_trip() {
        let mut image = rgb8(4, 2, &PIXELS);
        set_stamp(&mut image, Time(1_000_000_002));
        assert_eq!(Payload::Raw(image).stamp(), Time(1_000_000_002));
    }
}
