//! Owned 8-bit RGB image.

/// RGB image: rows of interleaved red, green, blue bytes without padding; `data` always holds `width · height · 3` of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RgbImage {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

/// Error of data whose length does not fit the announced size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an RGB image of {width}x{height}: expected {expected} bytes, found {found}")]
pub struct RgbSizeError {
    /// Announced width (px).
    pub width: u32,
    /// Announced height (px).
    pub height: u32,
    /// Number of bytes of an image of that size.
    pub expected: u64,
    /// Number of bytes given.
    pub found: usize,
}

impl RgbImage {
    /// Creates a black image.
    pub fn new(width: u32, height: u32) -> Self {
        let mut image = Self::default();
        image.reset(width, height);
        image
    }

    /// Creates an image from `data`, rows of interleaved RGB bytes.
    ///
    /// # Errors
    /// When `data` is not `width · height · 3` bytes long.
    pub fn from_raw(width: u32, height: u32, data: Vec<u8>) -> Result<Self, RgbSizeError> {
        let expected = (u64::from(width) * u64::from(height)).saturating_mul(3);
        if u64::try_from(data.len()) == Ok(expected) {
            return Ok(Self { width, height, data });
        }
        Err(RgbSizeError {
            width,
            height,
            expected,
            found: data.len(),
        })
    }

    /// Changes the size of the image and keeps its allocation; the content is unspecified afterwards.
    pub fn reset(&mut self, width: u32, height: u32) {
        self.width = width;
        self.height = height;
        self.data.resize(width as usize * height as usize * 3, 0);
    }

    /// Width (px).
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height (px).
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All bytes, row after row.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Mutable access to all bytes, row after row.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Rows from the top, `width · 3` bytes each.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, u8> {
        self.data.chunks_exact((self.width as usize * 3).max(1))
    }

    /// Mutable access to the rows from the top, `width · 3` bytes each.
    pub fn rows_mut(&mut self) -> std::slice::ChunksExactMut<'_, u8> {
        self.data.chunks_exact_mut((self.width as usize * 3).max(1))
    }

    /// Pixel in column `x` of row `y`; `None` outside the image.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        let row = self.rows().nth(y as usize)?;
        row.as_chunks::<3>().0.get(x as usize).copied()
    }
}
