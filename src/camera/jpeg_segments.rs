//! Segments of JPEG files, and what cameras append to them or leave out.

/// Marker of Huffman tables.
const HUFFMAN: u8 = 0xc4;

/// Segment with the four Huffman tables of ITU-T T.81, annex K.3, which frames of Motion JPEG may leave out.
const TABLES: [u8; 420] = [
    255, 196, 1, 162, 0, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 0,
    2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125, 1, 2, 3, 0, 4, 17, 5, 18, 33, 49, 65, 6, 19, 81, 97, 7, 34, 113, 20,
    50, 129, 145, 161, 8, 35, 66, 177, 193, 21, 82, 209, 240, 36, 51, 98, 114, 130, 9, 10, 22, 23, 24, 25, 26, 37, 38,
    39, 40, 41, 42, 52, 53, 54, 55, 56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99,
    100, 101, 102, 103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135, 136, 137, 138,
    146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182,
    183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210, 211, 212, 213, 214, 215, 216, 217, 218, 225,
    226, 227, 228, 229, 230, 231, 232, 233, 234, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 1, 0, 3, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1,
    2, 119, 0, 1, 2, 3, 17, 4, 5, 33, 49, 6, 18, 65, 81, 7, 97, 113, 19, 34, 50, 129, 8, 20, 66, 145, 161, 177, 193, 9,
    35, 51, 82, 240, 21, 98, 114, 209, 10, 22, 36, 52, 225, 37, 241, 23, 24, 25, 26, 38, 39, 40, 41, 42, 53, 54, 55,
    56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102, 103, 104, 105, 106,
    115, 116, 117, 118, 119, 120, 121, 122, 130, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147, 148, 149, 150, 151,
    152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195,
    196, 197, 198, 199, 200, 201, 202, 210, 211, 212, 213, 214, 215, 216, 217, 218, 226, 227, 228, 229, 230, 231, 232,
    233, 234, 242, 243, 244, 245, 246, 247, 248, 249, 250,
];

/// Segments before the pixels of a JPEG file: code of the marker, and content.
pub struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    /// Iterates over the segments of `data` up to the pixels, or to the first that is damaged.
    pub fn of(data: &'a [u8]) -> Self {
        Self {
            rest: data.get(2..).unwrap_or_default(),
        }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let [0xff, marker, after @ ..] = self.rest else {
                return None;
            };
            match *marker {
                // A byte that fills up the space before a marker.
                0xff => self.rest = self.rest.get(1..)?,
                // Pixels, or the end.
                0xda | 0xd9 => return None,
                // Markers without content.
                0x01 | 0xd0..=0xd8 => self.rest = after,
                marker => {
                    let (length, _) = after.split_first_chunk::<2>()?;
                    let length = usize::from(u16::from_be_bytes(*length));
                    let (segment, next) = after.split_at_checked(length)?;
                    self.rest = next;
                    return Some((marker, segment.get(2..).unwrap_or_default()));
                }
            }
        }
    }
}

/// Returns a file with the standard Huffman tables if it has none, as Pillow decodes it; `None` if it has its own.
pub fn with_tables(data: &[u8]) -> Option<Vec<u8>> {
    if Segments::of(data).any(|(marker, _)| marker == HUFFMAN) {
        return None;
    }
    let (begin, rest) = data.split_at_checked(2)?;
    Some([begin, &TABLES, rest].concat())
}

/// Returns a JPEG file up to its end-of-image marker; `None` if it has none. Cameras and phones append padding, or data
/// of their own.
pub fn up_to_end(data: &[u8]) -> Option<&[u8]> {
    let used = data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let padded = data.get(..used)?;
    if padded.ends_with(&[0xff, 0xd9]) {
        return Some(padded);
    }
    // Segments may hold another image, e.g. a preview, with an end of its own. Between them are the pixels.
    let mut rest = data.get(2..)?;
    loop {
        let marker = rest.iter().position(|byte| *byte == 0xff)?;
        let (code, after) = rest.get(marker + 1..)?.split_first()?;
        rest = match code {
            0xd9 => return data.get(..data.len() - after.len()),
            // A byte that fills up the space before a marker.
            0xff => rest.get(marker + 1..)?,
            // A pixel byte of 0xff, and markers without content.
            0x00 | 0x01 | 0xd0..=0xd7 => after,
            _ => {
                let (length, _) = after.split_first_chunk::<2>()?;
                after.get(usize::from(u16::from_be_bytes(*length))..)?
            }
        };
    }
}
