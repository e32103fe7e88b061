//! Encodes and decodes ROS 2 messages in plain CDR (XCDR1), where each number is aligned to its own size.

/// Header of every message that is written: little-endian, no options.
const HEADER: [u8; 4] = [0, 1, 0, 0];

/// Error of decoding a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CdrError {
    /// The message ends too early.
    #[error("the message ends after {0} bytes, in the middle of a value")]
    Short(usize),
    /// The header names another encoding.
    #[error("expected CDR (0 or 1), found encoding {0:?}")]
    Encoding([u8; 4]),
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

/// Writes the fields of a message, one after another.
#[derive(Debug, Clone)]
pub struct CdrWriter {
    bytes: Vec<u8>,
}

impl Default for CdrWriter {
    fn default() -> Self {
        Self { bytes: HEADER.into() }
    }
}

impl CdrWriter {
    /// Returns the message.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn aligned<const N: usize>(&mut self, value: [u8; N]) {
        let body = self.bytes.len() - HEADER.len();
        self.bytes.resize(HEADER.len() + body.next_multiple_of(N), 0);
        self.bytes.extend(value);
    }

    /// Writes a byte.
    pub fn u8(&mut self, value: u8) {
        self.aligned([value]);
    }

    /// Writes an unsigned 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.aligned(value.to_le_bytes());
    }

    /// Writes a signed 32-bit number.
    pub fn i32(&mut self, value: i32) {
        self.aligned(value.to_le_bytes());
    }

    /// Writes an unsigned 64-bit number.
    pub fn u64(&mut self, value: u64) {
        self.aligned(value.to_le_bytes());
    }

    /// Writes a 32-bit floating-point number.
    pub fn f32(&mut self, value: f32) {
        self.aligned(value.to_le_bytes());
    }

    /// Writes a 64-bit floating-point number.
    pub fn f64(&mut self, value: f64) {
        self.aligned(value.to_le_bytes());
    }

    /// Writes a text.
    pub fn text(&mut self, value: &str) {
        self.u32(value.len() as u32 + 1);
        self.bytes.extend(value.as_bytes());
        self.bytes.push(0);
    }

    /// Writes a sequence of bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.u32(value.len() as u32);
        self.bytes.extend(value);
    }

    /// Writes a sequence of 64-bit floating-point numbers.
    pub fn doubles(&mut self, values: &[f64]) {
        self.u32(values.len() as u32);
        values.iter().for_each(|value| self.f64(*value));
    }

    /// Writes a time (ns) as whole seconds and nanoseconds.
    pub fn time(&mut self, nanoseconds: u64) {
        self.i32(i32::try_from(nanoseconds / NANOSECONDS).unwrap_or(i32::MAX));
        self.u32((nanoseconds % NANOSECONDS) as u32);
    }
}

const NANOSECONDS: u64 = 1_000_000_000;

/// Reads the fields of a message, one after another, in the byte order of its header.
#[derive(Debug, Clone)]
pub struct CdrReader<'a> {
    body: &'a [u8],
    position: usize,
    big_endian: bool,
}

impl<'a> CdrReader<'a> {
    /// Creates a reader of a whole message.
    ///
    /// # Errors
    /// When its header names another encoding.
    pub fn new(message: &'a [u8]) -> Result<Self, CdrError> {
        let (header, body) = message.split_first_chunk::<4>().ok_or(CdrError::Short(message.len()))?;
        match header {
            [0, 0 | 1, ..] => Ok(Self {
                body,
                position: 0,
                big_endian: header[1] == 0,
            }),
            other => Err(CdrError::Encoding(*other)),
        }
    }

    /// Returns the next `count` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], CdrError> {
        let end = self.position.checked_add(count);
        let found = end.and_then(|end| self.body.get(self.position..end));
        let found = found.ok_or(CdrError::Short(self.body.len()))?;
        self.position += count;
        Ok(found)
    }

    fn aligned<const N: usize>(&mut self) -> Result<[u8; N], CdrError> {
        self.position = self.position.next_multiple_of(N);
        let found = self.take(N)?;
        let mut value: [u8; N] = found.try_into().map_err(|_| CdrError::Short(self.body.len()))?;
        if self.big_endian {
            value.reverse();
        }
        Ok(value)
    }

    /// Reads a byte.
    ///
    /// # Errors
    /// When the message ends too early.
    pub fn u8(&mut self) -> Result<u8, CdrError> {
        self.aligned().map(u8::from_le_bytes)
    }

    /// Reads an unsigned 32-bit number.
    ///
    /// # Errors
    /// When the message ends too early.
    pub fn u32(&mut self) -> Result<u32, CdrError> {
        self.aligned().map(u32::from_le_bytes)
    }

    /// Reads an unsigned 64-bit number.
    ///
    /// # Errors
    /// When the message ends too early.
    pub fn u64(&mut self) -> Result<u64, CdrError> {
        self.aligned().map(u64::from_le_bytes)
    }

    /// Reads a 32-bit floating-point number.
    ///
    /// # Errors
    /// When the message ends too early.
    pub fn f32(&mut self) -> Result<f32, CdrError> {
        self.aligned().map(f32::from_le_bytes)
    }

    /// Reads a 64-bit floating-point number.
    ///
    /// # Errors
    /// When the message ends too early.
    pub fn f64(&mut self) -> Result<f64, CdrError> {
        self.aligned().map(f64::from_le_bytes)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// When the message ends too early, or the text is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, CdrError> {
        let bytes = self.bytes()?;
        let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        std::str::from_utf8(text).map_err(|_| CdrError::Text)
    }

    /// Reads a sequence of bytes.
    ///
    /// # Errors
    /// When the message ends too early.
    pub fn bytes(&mut self) -> Result<&'a [u8], CdrError> {
        let count = self.u32()? as usize;
        self.take(count)
    }

    /// Reads a sequence of values. Memory grows with the values that are read, whatever count is announced.
    ///
    /// # Errors
    /// When the message ends too early.
    pub fn sequence<T>(&mut self, mut value: impl FnMut(&mut Self) -> Result<T, CdrError>) -> Result<Vec<T>, CdrError> {
        let count = self.u32()?;
        (0..count).map(|_| value(self)).collect()
    }

    /// Reads a time (ns); negative seconds become 0.
    ///
    /// # Errors
    /// When the message ends too early.
    pub fn time(&mut self) -> Result<u64, CdrError> {
        let seconds = self.u32()? as i32;
        let nanoseconds = u64::from(self.u32()?);
        Ok(u64::try_from(seconds).unwrap_or(0) * NANOSECONDS + nanoseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lie_at_multiples_of_their_size() {
        let mut out = CdrWriter::default();
        out.u8(7);
        out.f64(1.5);
        out.text("ab");
        out.u32(9);
        let bytes = out.finish();
        assert_eq!(bytes.len(), 4 + 8 + 8 + 4 + 3 + 1 + 4);
        let mut read = CdrReader::new(&bytes).unwrap();
        assert_eq!(
            (read.u8(), read.f64(), read.text(), read.u32()),
            (Ok(7), Ok(1.5), Ok("ab"), Ok(9))
        );
        assert!(read.u8().is_err());
    }

    #[test]
    fn a_count_that_lies_is_an_error_and_takes_no_memory() {
        let mut out = CdrWriter::default();
        out.u32(u32::MAX);
        out.f64(1.0);
        let bytes = out.finish();
        assert!(CdrReader::new(&bytes).unwrap().sequence(CdrReader::f64).is_err());
        assert!(CdrReader::new(&bytes).unwrap().bytes().is_err());
    }

    #[test]
    fn big_endian_messages_are_read() {
        let bytes = [0, 0, 0, 0, 0, 0, 1, 2];
        assert_eq!(CdrReader::new(&bytes).unwrap().u32(), Ok(258));
    }
}
