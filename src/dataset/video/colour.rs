//! Converts RGB to YCbCr 4:2:0 and back, by the matrix and the range that a stream announces.

use crate::camera::rgb::RgbImage;

use super::error::VideoError;

/// Matrix that converts red, green and blue to luma and chroma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601, which decoders also take if nothing is announced.
    Bt601,
    /// ITU-R BT.709.
    Bt709,
    /// ITU-R BT.2020 with non-constant luminance.
    Bt2020,
}

/// Colour encoding of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColourEncoding {
    /// Weights of red, green and blue in luma.
    pub matrix: Matrix,
    /// Whether black is 0 and white 255; otherwise they are 16 and 235.
    pub full_range: bool,
}

impl ColourEncoding {
    /// Encoding of written videos: what ffmpeg takes if nothing is announced, so that every reader agrees.
    pub const WRITTEN: Self = Self {
        matrix: Matrix::Bt601,
        full_range: false,
    };

    /// Returns the encoding for code points of ITU-T H.273, which H.264, AV1 and mp4 share.
    ///
    /// # Errors
    /// When the matrix is one that cameras do not use.
    pub fn from_code_points(matrix: u8, full_range: bool) -> Result<Self, VideoError> {
        let matrix = match matrix {
            1 => Matrix::Bt709,
            2 | 5 | 6 => Matrix::Bt601,
            9 => Matrix::Bt2020,
            other => return Err(VideoError::unsupported(format!("colour matrix {other} of H.273"))),
        };
        Ok(Self { matrix, full_range })
    }

    fn weights(self) -> [f64; 3] {
        let (red, blue) = match self.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
        };
        [red, 1.0 - red - blue, blue]
    }

    /// Ranges of luma and chroma, and the luma of black.
    fn spans(self) -> (f64, f64, i32) {
        if self.full_range {
            (255.0, 255.0, 0)
        } else {
            (219.0, 224.0, 16)
        }
    }
}

/// Fractional bits of the fixed-point arithmetic.
const PLACES: u32 = 16;
const HALF: i32 = 1 << (PLACES - 1);

fn fixed(value: f64) -> i32 {
    (value * f64::from(1_u32 << PLACES)).round() as i32
}

/// Image in YCbCr 4:2:0: luma in full size, chroma in half the width and height.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Yuv420 {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

/// Planes of a decoded image in the decoder's memory.
#[derive(Debug, Clone, Copy)]
pub struct Planes<'a> {
    /// Width (px).
    pub width: usize,
    /// Height (px).
    pub height: usize,
    /// Luma, blue-difference chroma, red-difference chroma.
    pub data: [&'a [u8]; 3],
    /// Distance between rows of each plane (bytes).
    pub strides: [usize; 3],
}

impl Yuv420 {
    /// Converts an image of even width and height; each 2x2 block shares the mean of its chroma.
    pub fn convert(&mut self, image: &RgbImage, colour: ColourEncoding) {
        let (width, height) = (image.width() as usize, image.height() as usize);
        (self.width, self.height) = (width, height);
        self.y.resize(width * height, 0);
        self.u.resize(width / 2 * (height / 2), 0);
        self.v.resize(width / 2 * (height / 2), 0);
        let to_yuv = ToYuv::new(colour);
        let pairs = image.data().chunks_exact((width * 6).max(1));
        let lumas = self.y.chunks_exact_mut((width * 2).max(1));
        let us = self.u.chunks_exact_mut((width / 2).max(1));
        let vs = self.v.chunks_exact_mut((width / 2).max(1));
        for (((pair, luma), u), v) in pairs.zip(lumas).zip(us).zip(vs) {
            let (above, below) = pair.split_at(width * 3);
            let (luma_above, luma_below) = luma.split_at_mut(width);
            let blocks = above.as_chunks::<6>().0.iter().zip(below.as_chunks::<6>().0);
            let lumas = luma_above
                .as_chunks_mut::<2>()
                .0
                .iter_mut()
                .zip(luma_below.as_chunks_mut::<2>().0);
            let chroma = u.iter_mut().zip(v);
            for ((([r0, g0, b0, r1, g1, b1], [r2, g2, b2, r3, g3, b3]), (up, low)), (u, v)) in
                blocks.zip(lumas).zip(chroma)
            {
                *up = [to_yuv.luma([*r0, *g0, *b0]), to_yuv.luma([*r1, *g1, *b1])];
                *low = [to_yuv.luma([*r2, *g2, *b2]), to_yuv.luma([*r3, *g3, *b3])];
                let sum = [[*r0, *r1, *r2, *r3], [*g0, *g1, *g2, *g3], [*b0, *b1, *b2, *b3]];
                (*u, *v) = to_yuv.chroma(sum.map(|four| four.map(i32::from).iter().sum()));
            }
        }
    }

    /// Returns the planes, without padding.
    pub fn planes(&self) -> Planes<'_> {
        Planes {
            width: self.width,
            height: self.height,
            data: [&self.y, &self.u, &self.v],
            strides: [self.width, self.width / 2, self.width / 2],
        }
    }
}

impl openh264::formats::YUVSource for Yuv420 {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.width, self.width / 2, self.width / 2)
    }

    fn y(&self) -> &[u8] {
        &self.y
    }

    fn u(&self) -> &[u8] {
        &self.u
    }

    fn v(&self) -> &[u8] {
        &self.v
    }
}

/// Fixed-point weights of a conversion.
struct ToYuv {
    luma: [i32; 3],
    blue: [i32; 3],
    red: [i32; 3],
    black: i32,
}

impl ToYuv {
    fn new(colour: ColourEncoding) -> Self {
        let [r, g, b] = colour.weights();
        let (luma, chroma, black) = colour.spans();
        let (luma, chroma) = (luma / 255.0, chroma / 255.0);
        let scale = |weights: [f64; 3], factor: f64| weights.map(|weight| fixed(weight * factor));
        Self {
            luma: scale([r, g, b], luma),
            blue: scale([-r, -g, 1.0 - b], chroma / (2.0 * (1.0 - b))),
            red: scale([1.0 - r, -g, -b], chroma / (2.0 * (1.0 - r))),
            black,
        }
    }

    fn luma(&self, [r, g, b]: [u8; 3]) -> u8 {
        let [wr, wg, wb] = self.luma;
        let sum = wr * i32::from(r) + wg * i32::from(g) + wb * i32::from(b) + HALF;
        ((sum >> PLACES) + self.black).clamp(0, 255) as u8
    }

    /// Returns the chroma of four pixels from the sums of their colours.
    fn chroma(&self, [r, g, b]: [i32; 3]) -> (u8, u8) {
        let value = |[wr, wg, wb]: [i32; 3]| {
            let sum = wr * r + wg * g + wb * b + 4 * HALF;
            ((sum >> (PLACES + 2)) + 128).clamp(0, 255) as u8
        };
        (value(self.blue), value(self.red))
    }
}

/// Converts `planes` to RGB. Each 2x2 block takes its chroma without interpolation, as in ffmpeg's plain conversion.
///
/// # Errors
/// When a plane is too short for the size of the image.
pub fn to_rgb(planes: &Planes<'_>, colour: ColourEncoding, out: &mut RgbImage) -> Result<(), VideoError> {
    let [r, g, b] = colour.weights();
    let (luma, chroma, black) = colour.spans();
    let scale = fixed(255.0 / luma);
    let (red_v, blue_u) = (
        fixed(2.0 * (1.0 - r) * 255.0 / chroma),
        fixed(2.0 * (1.0 - b) * 255.0 / chroma),
    );
    let green_u = fixed(-2.0 * b * (1.0 - b) / g * 255.0 / chroma);
    let green_v = fixed(-2.0 * r * (1.0 - r) / g * 255.0 / chroma);

    let Planes {
        width,
        height,
        data,
        strides,
    } = *planes;
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let fits = |plane: usize, width: usize, height: usize| {
        let (Some(bytes), Some(stride)) = (data.get(plane), strides.get(plane)) else {
            return false;
        };
        let needed = stride
            .checked_mul(height.saturating_sub(1))
            .and_then(|before| before.checked_add(width));
        *stride >= width && *stride > 0 && needed.is_some_and(|needed| bytes.len() >= needed)
    };
    if !(fits(0, width, height) && fits(1, half_width, half_height) && fits(2, half_width, half_height)) {
        return Err(VideoError::malformed(format!(
            "the decoder returned too little for {width}x{height}"
        )));
    }
    out.reset(width as u32, height as u32);
    let [ys, us, vs] = data;
    let [y_stride, u_stride, v_stride] = strides;
    let twice = |row| [row, row];
    let rows = out
        .data_mut()
        .chunks_exact_mut((width * 3).max(1))
        .zip(ys.chunks(y_stride));
    let chroma = us.chunks(u_stride).zip(vs.chunks(v_stride)).flat_map(twice);
    for ((out, y), (u, v)) in rows.zip(chroma) {
        let pixels = out.chunks_mut(6).zip(y.chunks(2));
        for ((out, y), (u, v)) in pixels.zip(u.iter().zip(v)) {
            let (u, v) = (i32::from(*u) - 128, i32::from(*v) - 128);
            let offsets = [red_v * v + HALF, green_u * u + green_v * v + HALF, blue_u * u + HALF];
            for (pixel, y) in out.as_chunks_mut::<3>().0.iter_mut().zip(y) {
                let luma = scale * (i32::from(*y) - black);
                *pixel = offsets.map(|offset| ((luma + offset) >> PLACES).clamp(0, 255) as u8);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ColourEncoding; 4] = [
        ColourEncoding::WRITTEN,
        ColourEncoding {
            matrix: Matrix::Bt709,
            full_range: false,
        },
        ColourEncoding {
            matrix: Matrix::Bt709,
            full_range: true,
        },
        ColourEncoding {
            matrix: Matrix::Bt2020,
            full_range: false,
        },
    ];

    fn flat([r, g, b]: [u8; 3]) -> RgbImage {
        let data = [r, g, b].repeat(16);
        RgbImage::from_raw(4, 4, data).unwrap()
    }

    #[test]
    fn flat_colours_survive_every_matrix_and_range() {
        for colour in ALL {
            for rgb in [
                [0, 0, 0],
                [255, 255, 255],
                [255, 0, 0],
                [0, 255, 0],
                [0, 0, 255],
                [200, 120, 37],
            ] {
                let mut yuv = Yuv420::default();
                yuv.convert(&flat(rgb), colour);
                let mut back = RgbImage::default();
                to_rgb(&yuv.planes(), colour, &mut back).unwrap();
                for (found, expected) in back.data().iter().zip(rgb.repeat(16)) {
                    assert!(found.abs_diff(expected) <= 2, "{colour:?} {rgb:?}: {found}");
                }
            }
        }
    }

    #[test]
    fn written_luma_and_chroma_are_those_of_bt_601() {
        // ITU-R BT.601: red is (81, 90, 240), white (235, 128, 128), black (16, 128, 128).
        for (rgb, expected) in [
            ([255, 0, 0], [81, 90, 240]),
            ([255; 3], [235, 128, 128]),
            ([0; 3], [16, 128, 128]),
        ] {
            let mut yuv = Yuv420::default();
            yuv.convert(&flat(rgb), ColourEncoding::WRITTEN);
            assert_eq!([yuv.y[0], yuv.u[0], yuv.v[0]].map(i32::from), expected);
        }
    }

    #[test]
    fn short_planes_are_an_error() {
        let planes = Planes {
            width: 4,
            height: 4,
            data: [&[0; 16], &[0; 4], &[0; 3]],
            strides: [4, 2, 2],
        };
        assert!(to_rgb(&planes, ColourEncoding::WRITTEN, &mut RgbImage::default()).is_err());
    }
}
