//! Recognises unsupported formats of files, pictures and videos by their first bytes, and says what to do about them.

/// Number of bytes needed to recognise a format (bytes); the mark of a tar archive is at 257.
pub const BEGINNING: usize = 512;

/// Marks of a format: each an offset (bytes) and the bytes there.
type Marks = &'static [(usize, &'static [u8])];

/// Unsupported formats: marks, and a description with advice.
const FOREIGN: &[(Marks, &str)] = &[
    (
        &[(0, b"version https://git-lfs.github.com/spec/v1")],
        "a git-lfs pointer, not the file; fetch it with `git lfs pull`",
    ),
    (
        &[(0, b"/annex/objects/")],
        "a git-annex pointer, not the file; fetch it with `git annex get`",
    ),
    (
        &[(0, b"PK\x03\x04")],
        "a zip archive (PyTorch's .pt and .bin files are such); unpack it, or convert weights to safetensors",
    ),
    (&[(0, b"\x1f\x8b")], "gzip-compressed data; unpack it with `gunzip`"),
    (&[(0, b"BZh")], "bzip2-compressed data; unpack it with `bunzip2`"),
    (&[(0, b"\xfd7zXZ\0")], "xz-compressed data; unpack it with `unxz`"),
    (
        &[(0, b"\x04\x22\x4d\x18")],
        "lz4-compressed data; unpack it with `unlz4`",
    ),
    (&[(0, b"7z\xbc\xaf\x27\x1c")], "a 7z archive; unpack it"),
    (&[(0, b"Rar!\x1a\x07")], "a RAR archive; unpack it"),
    (
        &[(0, b"GGUF")],
        "a gguf file of llama.cpp; name the safetensors it was made from",
    ),
    (
        &[(0, b"#ROSBAG V")],
        "a ROS 1 bag; convert it with `rosbags-convert --src FILE --dst FOLDER --dst-storage mcap`",
    ),
    (
        &[(0, b"SQLite format 3\0")],
        "an sqlite database (a rosbag2 .db3 is one); convert a bag with `ros2 bag convert` and storage_id mcap",
    ),
    (
        &[(0, b"\x89HDF\r\n\x1a\n")],
        "an HDF5 file; convert the dataset to LeRobot's layout first",
    ),
    (&[(0, b"PARE")], "an encrypted parquet file; decrypt it first"),
    (&[(0, b"Salted__")], "an encrypted file of openssl; decrypt it first"),
    (
        &[(0, b"age-encryption.org/")],
        "an encrypted file of age; decrypt it first",
    ),
    (
        &[(0, b"-----BEGIN PGP MESSAGE")],
        "an encrypted file of PGP; decrypt it first",
    ),
    (&[(0, b"ARROW1")], "an Arrow IPC file; write it anew as parquet"),
    (&[(0, b"FEA1")], "a feather file; write it anew as parquet"),
    (&[(0, b"\x93NUMPY")], "a NumPy array; name the file it was made from"),
    (
        &[(0, b"\0\x05\x16\x07")],
        "a companion file of macOS (its name begins with ._); name the file beside it",
    ),
    (&[(0, b"\x7fELF")], "a program"),
    (&[(0, b"%PDF-")], "a PDF document"),
    (&[(0, b"\xff\xfe")], "text in UTF-16; save it as UTF-8"),
    (&[(0, b"\xfe\xff")], "text in UTF-16; save it as UTF-8"),
    (&[(257, b"ustar")], "a tar archive; unpack it"),
    (&[(0, b"RIFF"), (8, b"WEBP")], "a WebP picture; convert it to PNG"),
    (&[(0, b"GIF8")], "a GIF picture; convert it to PNG"),
    (&[(0, b"BM"), (6, b"\0\0\0\0")], "a BMP picture; convert it to PNG"),
    (&[(0, b"II*\0")], "a TIFF picture; convert it to PNG"),
    (&[(0, b"MM\0*")], "a TIFF picture; convert it to PNG"),
    (&[(0, b"\0\0\0\x0cjP  ")], "a JPEG 2000 picture; convert it to PNG"),
    (&[(0, b"\xff\x4f\xff\x51")], "a JPEG 2000 picture; convert it to PNG"),
    (&[(4, b"ftypavif")], "an AVIF picture; convert it to PNG"),
    (&[(4, b"ftypheic")], "a HEIC picture; convert it to PNG"),
    (
        &[(0, b"\x1a\x45\xdf\xa3")],
        "a Matroska or WebM video; put its frames into mp4 with `ffmpeg -i IN -c copy OUT.mp4`",
    ),
    (
        &[(0, b"RIFF"), (8, b"AVI ")],
        "an AVI video; put its frames into mp4 with `ffmpeg -i IN -c copy OUT.mp4`",
    ),
    // Packets of 188 bytes, the first of which begins a table.
    (
        &[(0, b"G@"), (188, b"G"), (376, b"G")],
        "an MPEG transport stream; put its frames into mp4 with `ffmpeg -i IN -c copy OUT.mp4`",
    ),
    // A start code, then the header of a parameter set or a delimiter.
    (&[(0, b"\0\0\0\x01\x67")], RAW_H264),
    (&[(0, b"\0\0\0\x01\x27")], RAW_H264),
    (&[(0, b"\0\0\0\x01\x09")], RAW_H264),
];

/// Description of H.264 without a container, which begins in several ways.
const RAW_H264: &str = "raw H.264 without times; put it into mp4 with `ffmpeg -r FPS -i IN -c copy OUT.mp4`";

/// Beginnings of the texts that model hubs and servers send instead of a file.
const ANSWERS: [&[u8]; 8] = [
    b"Entry not found",
    b"Repository not found",
    b"Not Found",
    b"404: Not Found",
    b"404 page not found",
    b"Invalid username or password",
    b"Invalid credentials in Authorization header",
    b"Access to model ",
];

/// Describes the unsupported format of a file with these first bytes, with advice; `None` for any other file.
pub fn foreign(beginning: &[u8]) -> Option<&'static str> {
    let known = FOREIGN.iter().find(|(marks, _)| has(beginning, marks));
    if let Some((_, what)) = known {
        return Some(what);
    }
    if is_pickle(beginning) {
        return Some("a Python pickle, which can run any code when it is read; convert it to safetensors or JSON");
    }
    page(beginning)
}

/// Whether all marks are where they belong.
fn has(beginning: &[u8], marks: &[(usize, &[u8])]) -> bool {
    let is_there = |at: usize, mark: &[u8]| beginning.get(at..).is_some_and(|rest| rest.starts_with(mark));
    marks.iter().all(|(at, mark)| is_there(*at, mark))
}

/// Whether the bytes are a protocol marker and a usual first instruction of a pickle. The length at the start of a
/// safetensors file can look the same; the brace behind it cannot.
fn is_pickle(beginning: &[u8]) -> bool {
    let safetensors = beginning.get(8) == Some(&b'{');
    match beginning {
        [0x80, 2..=5, first, ..] => !safetensors && b"\x95}]c(X\x8a\x8cK".contains(first),
        _ => false,
    }
}

/// Recognises a page or text that a server sends instead of a file.
fn page(beginning: &[u8]) -> Option<&'static str> {
    let text = beginning
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(beginning)
        .trim_ascii_start();
    let begins = |with: &[u8]| {
        text.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    if begins(b"<!doctype html") || begins(b"<html") {
        return Some("an HTML page, not the file; was the download refused, or does it need a login?");
    }
    if ANSWERS.iter().any(|answer| text.starts_with(answer)) {
        return Some(
            "the text of a server that refused the download, not the file; look whether its name is right and whether it \
             needs a login, and fetch it again",
        );
    }
    begins(b"<?xml").then_some("an XML page, not the file; was the download refused?")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beginnings of files, and what their description says.
    const KNOWN: &[(&[u8], &str)] = &[
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "`git lfs pull`",
        ),
        (b"/annex/objects/MD5-s9--0\n", "`git annex get`"),
        (b"PK\x03\x04\0\0", "zip archive"),
        (b"\x80\x02}q\0.", "pickle"),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94.", "pickle"),
        (b"\n <!DOCTYPE html><html>", "HTML page"),
        (b"\xef\xbb\xbf<html lang=en>", "HTML page"),
        (b"Entry not found", "server that refused the download"),
        (b"404: Not Found", "server that refused the download"),
        (b"#ROSBAG V2.0\n", "ROS 1 bag"),
        (b"SQLite format 3\0\x10", "sqlite"),
        (b"GGUF\x03\0\0\0", "gguf"),
        (b"\x04\x22\x4d\x18\x64", "lz4"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0\0", "xz-compressed"),
        (b"7z\xbc\xaf\x27\x1c\0", "7z archive"),
        (b"Rar!\x1a\x07\x01\0", "RAR archive"),
        (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
        (b"PARE\0", "encrypted parquet"),
        (b"Salted__\x01\x02", "encrypted file of openssl"),
        (b"age-encryption.org/v1\n", "encrypted file of age"),
        (b"-----BEGIN PGP MESSAGE-----\n", "encrypted file of PGP"),
        (b"ARROW1\0\0", "Arrow IPC"),
        (b"FEA1\0\0", "feather"),
        (b"\x93NUMPY\x01\0", "NumPy"),
        (b"\0\x05\x16\x07\0\x02\0\0", "companion file of macOS"),
        (b"\x7fELF\x02\x01", "program"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b"\xfe\xff\0{", "UTF-16"),
        (
            b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
            "XML page",
        ),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "WebP"),
        (b"GIF89a", "GIF"),
        (b"BM\x36\x30\0\0\0\0\0\0\x36\0", "BMP"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"MM\0*\0\0\0\x08", "TIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0\x2f", "JPEG 2000"),
        (b"\0\0\0\x20ftypavif\0", "AVIF"),
        (b"\0\0\0\x18ftypheic\0", "HEIC"),
        (b"\x1a\x45\xdf\xa3\xa3\x42\x86", "Matroska or WebM"),
        (b"RIFF\x3a\x23\0\0AVI LIST", "AVI"),
        (b"\0\0\0\x01\x67\x64\0", "raw H.264"),
        (b"\0\0\0\x01\x27\x42\0", "raw H.264"),
        (b"\0\0\0\x01\x09\x10", "raw H.264"),
    ];

    #[test]
    fn known_files_are_called_by_their_names() {
        let tar = [vec![0; 257], b"ustar\0".to_vec()].concat();
        let packets = [&b"G@\0\x10"[..], &[0; 184][..]].concat().repeat(3);
        let long = [(&tar[..], "tar archive"), (&packets[..], "MPEG transport stream")];
        let known: Vec<_> = KNOWN.iter().copied().chain(long).collect();
        for (beginning, name) in &known {
            let said = foreign(beginning).unwrap_or_default();
            assert!(said.contains(name), "{name}: {said:?}");
        }
        for (marks, what) in FOREIGN {
            let is_tried = known.iter().any(|(beginning, _)| has(beginning, marks));
            assert!(is_tried, "{what}");
        }
    }

    #[test]
    fn what_is_read_is_nothing_of_these() {
        // A safetensors file whose header is 0x950480 bytes long begins like a pickle.
        for beginning in [
            &b"PAR1\x15\x04"[..],
            b"\0\0\0\x20ftypisom",
            // A box whose length takes 64 bits begins like raw H.264.
            b"\0\0\0\x01mdat\0\0\0\0",
            b"RIFF\x24\0\0\0WAVEfmt ",
            b"\x89MCAP0\r\n",
            // zstd: rosbag2 compresses whole files with it.
            b"\x28\xb5\x2f\xfd",
            b"\x80\x04\x95\0\0\0\0\0{\"a\":",
            b"{\"model_type\": 1}",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0",
            b"base: train.yaml",
            b"",
        ] {
            assert_eq!(foreign(beginning), None, "{beginning:?}");
        }
    }
}
