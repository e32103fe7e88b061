//! Finds how a JPEG or PNG file is to be turned, wherever Pillow looks for it: in EXIF data before or after the pixels,
//! and without these in XMP data that is not compressed.

use image::metadata::Orientation;

use super::jpeg_segments::Segments;

/// Tag of the orientation in EXIF data (TIFF 6.0).
const TAG: u32 = 0x0112;

/// Marker of segments with EXIF or XMP data in JPEG.
const APP1: u8 = 0xe1;

/// Mark of EXIF data.
const EXIF: &[u8] = b"Exif\0\0";

/// Mark of XMP data in JPEG.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// Keyword of XMP data in PNG.
const XMP_KEYWORD: &[u8] = b"XML:com.adobe.xmp\0";

/// Name of the orientation in XMP data.
const XMP_NAME: &[u8] = b"tiff:Orientation";

/// Returns the orientation of a JPEG file; `None` if it names none.
pub fn of_jpeg(data: &[u8]) -> Option<Orientation> {
    let mut exif: Vec<u8> = Vec::new();
    let mut xmp = None;
    for (marker, content) in Segments::of(data) {
        if marker == APP1 {
            // Long EXIF data is spread over several segments.
            exif.extend_from_slice(content.strip_prefix(EXIF).unwrap_or_default());
            xmp = content.strip_prefix(XMP).or(xmp);
        }
    }
    named(&exif, xmp)
}

/// Returns the orientation of a PNG file; `None` if it names none.
pub fn of_png(data: &[u8]) -> Option<Orientation> {
    let mut exif: &[u8] = &[];
    let mut xmp = None;
    let mut rest = data.get(8..).unwrap_or_default();
    while let Some(([a, b, c, d, kind @ ..], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let Some((content, next)) = after.split_at_checked(length) else {
            break;
        };
        match kind {
            b"eXIf" => exif = content,
            b"iTXt" => xmp = xmp_of_text(content).or(xmp),
            b"IEND" => break,
            _ => {}
        }
        // The check sum is the decoder's concern.
        rest = next.get(4..).unwrap_or_default();
    }
    named(exif, xmp)
}

/// Returns the XMP data of a text chunk that has them: keyword, two bytes on compression, language, translated
/// keyword, text.
fn xmp_of_text(chunk: &[u8]) -> Option<&[u8]> {
    let [0, _, rest @ ..] = chunk.strip_prefix(XMP_KEYWORD)? else {
        return None;
    };
    rest.splitn(3, |byte| *byte == 0).nth(2)
}

/// Returns the orientation that EXIF data name, or else XMP data; values without a meaning turn nothing.
fn named(exif: &[u8], xmp: Option<&[u8]>) -> Option<Orientation> {
    let value = value_in_exif(exif).or_else(|| value_in_xmp(xmp?))?;
    let orientation = u8::try_from(value).ok().and_then(Orientation::from_exif);
    Some(orientation.unwrap_or(Orientation::NoTransforms))
}

/// Reads the orientation from EXIF data, which are a TIFF; 0 if it is not a whole number.
fn value_in_exif(exif: &[u8]) -> Option<u32> {
    let mut tiff = exif;
    while let Some(rest) = tiff.strip_prefix(EXIF) {
        tiff = rest;
    }
    let little_endian = match tiff.get(..4)? {
        // Pillow also takes the second number in the other order.
        b"II*\0" | b"II\0*" => true,
        b"MM\0*" | b"MM*\0" => false,
        _ => return None,
    };
    let number = |at: usize, size: usize| -> Option<u32> {
        let bytes = tiff.get(at..at.checked_add(size)?)?.iter();
        let append = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        Some(match little_endian {
            true => bytes.rev().fold(0, append),
            false => bytes.fold(0, append),
        })
    };
    let directory = number(4, 4)? as usize;
    let entries = number(directory, 2)? as usize;
    for entry in 0..entries {
        let at = directory.checked_add(2 + 12 * entry)?;
        if number(at, 2)? != TAG {
            continue;
        }
        // Whole numbers of 2 or 4 bytes, without and with a sign.
        let size = match number(at + 2, 2)? {
            3 | 8 => 2,
            4 | 9 => 4,
            _ => return Some(0),
        };
        let values = number(at + 4, 4)? as usize;
        // Values of more than four bytes are elsewhere.
        let place = match values <= 4 / size {
            true => at + 8,
            false => number(at + 8, 4)? as usize,
        };
        return number(place, size);
    }
    None
}

/// Reads the orientation from XMP data, an attribute or an element.
fn value_in_xmp(xmp: &[u8]) -> Option<u32> {
    let mut names = xmp.windows(XMP_NAME.len()).enumerate();
    names.find_map(|(at, name)| {
        let after = xmp.get(at + XMP_NAME.len()..).filter(|_| name == XMP_NAME)?;
        let value = after.strip_prefix(b"=\"").or_else(|| after.strip_prefix(b">"))?;
        let digit = value.first().filter(|digit| digit.is_ascii_digit())?;
        Some(u32::from(digit - b'0'))
    })
}
