//! Validated view of a `sensor_msgs/Image`, without copying its data.

use super::rgb::RgbImage;

/// Fields of a `sensor_msgs/Image` as received. `is_bigendian` is left out: it has no meaning for 8-bit channels.
#[derive(Debug, Clone, Copy)]
pub struct ImageFields<'a> {
    /// Width (px).
    pub width: u32,
    /// Height (px).
    pub height: u32,
    /// Name of the pixel layout, as in `sensor_msgs/image_encodings`.
    pub encoding: &'a str,
    /// Bytes from the start of a row to the start of the next, padding included.
    pub step: u32,
    /// Rows from the top, `step` bytes each.
    pub data: &'a [u8],
}

/// Supported pixel layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Red, green, blue.
    Rgb8,
    /// Blue, green, red.
    Bgr8,
    /// Red, green, blue, alpha; alpha is dropped.
    Rgba8,
    /// Blue, green, red, alpha; alpha is dropped.
    Bgra8,
    /// One grey channel.
    Mono8,
    /// Y0 U Y1 V for two pixels, ITU-R BT.601 in studio range as webcams send it.
    Yuyv,
    /// U Y0 V Y1 for two pixels, otherwise as [`Encoding::Yuyv`].
    Uyvy,
}

/// Supported names of `sensor_msgs/image_encodings`. Names of OpenCV matrix types do not state the order of colours;
/// they are read as blue first, like cv_bridge does.
const NAMES: [(&str, Encoding); 12] = [
    ("rgb8", Encoding::Rgb8),
    ("bgr8", Encoding::Bgr8),
    ("8UC3", Encoding::Bgr8),
    ("rgba8", Encoding::Rgba8),
    ("bgra8", Encoding::Bgra8),
    ("8UC4", Encoding::Bgra8),
    ("mono8", Encoding::Mono8),
    ("8UC1", Encoding::Mono8),
    ("yuyv", Encoding::Yuyv),
    ("yuv422_yuy2", Encoding::Yuyv),
    ("uyvy", Encoding::Uyvy),
    ("yuv422", Encoding::Uyvy),
];

impl Encoding {
    /// Parses a name of `sensor_msgs/image_encodings`; `None` when it is not supported.
    pub fn parse(name: &str) -> Option<Self> {
        let found = NAMES.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, encoding)| encoding)
    }

    /// Names that [`Encoding::parse`] accepts.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().map(|(name, _)| name)
    }

    /// Bytes of one pixel.
    pub fn bytes_per_pixel(self) -> u32 {
        match self {
            Self::Mono8 => 1,
            Self::Yuyv | Self::Uyvy => 2,
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 => 4,
        }
    }

    /// Whether two neighbouring pixels share their chroma.
    fn is_subsampled(self) -> bool {
        matches!(self, Self::Yuyv | Self::Uyvy)
    }
}

/// Advice for the user about an unsupported encoding.
fn advice(name: &str) -> &'static str {
    let is_wide = ["16", "32", "64"].iter().any(|bits| name.starts_with(bits)) || name.ends_with("16");
    if name.starts_with("bayer_") {
        "that is a Bayer mosaic: choose rgb8 in the camera driver, or run debayer_node of image_proc and name its image_color"
    } else if is_wide {
        "that has more than 8 bits a channel, as depth and infrared cameras send it: name the topic of a colour camera"
    } else {
        "choose one of those in the camera driver"
    }
}

/// Errors of fields that do not describe an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// A side is zero.
    #[error("image of {width}x{height}: expected both sides to be at least 1 pixel; check the camera driver")]
    Empty {
        /// Width found (px).
        width: u32,
        /// Height found (px).
        height: u32,
    },
    /// The encoding is not supported.
    #[error("image encoding: expected {}, found {found:?}; {}", Encoding::names().collect::<Vec<_>>().join(", "), advice(.found))]
    Encoding {
        /// Encoding found.
        found: String,
    },
    /// The width is odd, but two neighbouring pixels of this layout share their chroma.
    #[error("image in {encoding:?}: expected an even width, found {width}")]
    OddWidth {
        /// Layout found.
        encoding: Encoding,
        /// Width found (px).
        width: u32,
    },
    /// The row step is shorter than a row.
    #[error(
        "image row step: expected at least {expected} bytes for {width} pixels of {encoding:?}, found {found}; the message is malformed"
    )]
    Step {
        /// Width found (px).
        width: u32,
        /// Layout found.
        encoding: Encoding,
        /// Smallest valid step (bytes).
        expected: u64,
        /// Step found (bytes).
        found: u32,
    },
    /// The data is shorter than the image.
    #[error(
        "image data: expected at least {expected} bytes ({height} rows of {step}), found {found}; it was cut short"
    )]
    Length {
        /// Height found (px).
        height: u32,
        /// Step found (bytes).
        step: u32,
        /// Smallest valid length (bytes).
        expected: u64,
        /// Length found (bytes).
        found: usize,
    },
}

/// Validated image that borrows the data of its message.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    width: u32,
    height: u32,
    encoding: Encoding,
    step: usize,
    row_bytes: usize,
    data: &'a [u8],
}

impl<'a> ImageView<'a> {
    /// Checks the fields against each other. The last row may lack its padding. Nothing is allocated for the pixels,
    /// whatever size is announced.
    ///
    /// # Errors
    /// Names the first field that does not fit, with the expected and the found value.
    pub fn new(fields: ImageFields<'a>) -> Result<Self, ImageError> {
        let ImageFields {
            width,
            height,
            encoding,
            step,
            data,
        } = fields;
        if width == 0 || height == 0 {
            return Err(ImageError::Empty { width, height });
        }
        let encoding = Encoding::parse(encoding).ok_or_else(|| ImageError::Encoding {
            found: encoding.chars().take(64).collect(),
        })?;
        if encoding.is_subsampled() && !width.is_multiple_of(2) {
            return Err(ImageError::OddWidth { encoding, width });
        }
        let row_bytes = u64::from(width) * u64::from(encoding.bytes_per_pixel());
        if u64::from(step) < row_bytes {
            return Err(ImageError::Step {
                width,
                encoding,
                expected: row_bytes,
                found: step,
            });
        }
        let expected = u64::from(step) * u64::from(height - 1) + row_bytes;
        let found = data.len();
        let length = ImageError::Length {
            height,
            step,
            expected,
            found,
        };
        let (Ok(needed), Ok(row_bytes)) = (usize::try_from(expected), usize::try_from(row_bytes)) else {
            return Err(length);
        };
        let data = data.get(..needed).ok_or(length)?;
        Ok(Self {
            width,
            height,
            encoding,
            step: step as usize,
            row_bytes,
            data,
        })
    }

    /// Width (px).
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height (px).
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Pixel layout.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Rows from the top without their padding.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let row_bytes = self.row_bytes;
        self.data.chunks(self.step).filter_map(move |row| row.get(..row_bytes))
    }

    /// Converts the image to RGB and writes it into `out`, whose allocation is reused.
    pub fn to_rgb(&self, out: &mut RgbImage) {
        out.reset(self.width, self.height);
        for (from, to) in self.rows().zip(out.rows_mut()) {
            let (to, _) = to.as_chunks_mut::<3>();
            match self.encoding {
                Encoding::Rgb8 => to.as_flattened_mut().copy_from_slice(from),
                Encoding::Bgr8 => convert(from, to, |[b, g, r]| [r, g, b]),
                Encoding::Rgba8 => convert(from, to, |[r, g, b, _]| [r, g, b]),
                Encoding::Bgra8 => convert(from, to, |[b, g, r, _]| [r, g, b]),
                Encoding::Mono8 => convert(from, to, |[v]| [v, v, v]),
                Encoding::Yuyv => yuv422_row(from, to, |four| four),
                Encoding::Uyvy => yuv422_row(from, to, |[u, y0, v, y1]| [y0, u, y1, v]),
            }
        }
    }
}

fn convert<const N: usize>(from: &[u8], to: &mut [[u8; 3]], pixel: impl Fn([u8; N]) -> [u8; 3]) {
    for (from, to) in from.as_chunks::<N>().0.iter().zip(to) {
        *to = pixel(*from);
    }
}

/// Converts a row of packed YUV 4:2:2; `order` puts the bytes of two pixels into the order Y0 U Y1 V.
fn yuv422_row(from: &[u8], to: &mut [[u8; 3]], order: impl Fn([u8; 4]) -> [u8; 4]) {
    for (four, to) in from.as_chunks::<4>().0.iter().zip(to.as_chunks_mut::<2>().0) {
        let [y0, u, y1, v] = order(*four);
        *to = [yuv_to_rgb(y0, u, v), yuv_to_rgb(y1, u, v)];
    }
}

/// Converts BT.601 in studio range with 20 fractional bits, like OpenCV's `COLOR_YUV2RGB_YUY2` and `_UYVY`.
fn yuv_to_rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 19;
    let y = (i32::from(y) - 16).max(0) * 1_220_542 + HALF;
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [y + 1_673_527 * v, y - 852_492 * v - 409_993 * u, y + 2_116_026 * u].map(|c| (c >> 20).clamp(0, 255) as u8)
}
