//! Recognises unsupported file formats by their first bytes, and says what to do about them.

/// Number of bytes needed to recognise a format (bytes); the mark of a tar archive is at 257.
pub const BEGINNING: usize = 512;

/// Unsupported formats: first bytes, and a description with advice.
const FOREIGN: [(&[u8], &str); 25] = [
    (
        b"version https://git-lfs.github.com/spec/v1",
        "a git-lfs pointer, not the file; fetch it with `git lfs pull`",
    ),
    (
        b"/annex/objects/",
        "a git-annex pointer, not the file; fetch it with `git annex get`",
    ),
    (
        b"PK\x03\x04",
        "a zip archive (PyTorch's .pt and .bin files are such); unpack it, or convert weights to safetensors",
    ),
    (b"\x1f\x8b", "gzip-compressed data; unpack it with `gunzip`"),
    (b"BZh", "bzip2-compressed data; unpack it with `bunzip2`"),
    (b"\xfd7zXZ\0", "xz-compressed data; unpack it with `unxz`"),
    (b"\x04\x22\x4d\x18", "lz4-compressed data; unpack it with `unlz4`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it"),
    (
        b"GGUF",
        "a gguf file of llama.cpp; name the safetensors it was made from",
    ),
    (
        b"#ROSBAG V",
        "a ROS 1 bag; convert it with `rosbags-convert --src FILE --dst FOLDER --dst-storage mcap`",
    ),
    (
        b"SQLite format 3\0",
        "an sqlite database (a rosbag2 .db3 is one); convert a bag with `ros2 bag convert` and storage_id mcap",
    ),
    (
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file; convert the dataset to LeRobot's layout first",
    ),
    (b"PARE", "an encrypted parquet file; decrypt it first"),
    (b"Salted__", "an encrypted file of openssl; decrypt it first"),
    (b"age-encryption.org/", "an encrypted file of age; decrypt it first"),
    (b"-----BEGIN PGP MESSAGE", "an encrypted file of PGP; decrypt it first"),
    (b"ARROW1", "an Arrow IPC file; write it anew as parquet"),
    (b"FEA1", "a feather file; write it anew as parquet"),
    (b"\x93NUMPY", "a NumPy array; name the file it was made from"),
    (
        b"\0\x05\x16\x07",
        "a companion file of macOS (its name begins with ._); name the file beside it",
    ),
    (b"\x7fELF", "a program"),
    (b"%PDF-", "a PDF document"),
    (b"\xff\xfe", "text in UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16; save it as UTF-8"),
];

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
    let known = FOREIGN.iter().find(|(start, _)| beginning.starts_with(start));
    if let Some((_, what)) = known {
        return Some(what);
    }
    if beginning.get(257..262) == Some(b"ustar") {
        return Some("a tar archive; unpack it");
    }
    if is_pickle(beginning) {
        return Some("a Python pickle, which can run any code when it is read; convert it to safetensors or JSON");
    }
    page(beginning)
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

    #[test]
    fn known_files_are_called_by_their_names() {
        let tar = [vec![0; 257], b"ustar\0".to_vec()].concat();
        let known = [
            (
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:0"[..],
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
            (&tar, "tar archive"),
        ];
        for (beginning, name) in known {
            let said = foreign(beginning).unwrap_or_default();
            assert!(said.contains(name), "{name}: {said:?}");
        }
        for (start, what) in FOREIGN {
            let is_tried = known.iter().any(|(beginning, _)| beginning.starts_with(start));
            assert!(is_tried, "{what}");
        }
    }

    #[test]
    fn what_is_read_is_nothing_of_these() {
        // A safetensors file whose header is 0x950480 bytes long begins like a pickle.
        for beginning in [
            &b"PAR1\x15\x04"[..],
            b"\0\0\0\x20ftypisom",
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
