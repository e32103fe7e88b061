//! Tests of the files of a recording: compressed, incomplete, damaged, or of another kind.

use std::io::Write as _;
use std::path::Path;

use mcap::{Compression, WriteOptions};

use super::{Import, Message, ROWS, START, length, mcap_of, plain, require_scene, stamped};

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

fn metadata(mode: &str, format: &str, files: &[&str]) -> String {
    let files: String = files.iter().map(|file| format!("    - {file}\n")).collect();
    format!(
        "rosbag2_bagfile_information:\n  version: 9\n  storage_identifier: mcap\n  compression_format: {format}\n  \
         compression_mode: {mode}\n  relative_file_paths:\n{files}"
    )
}

#[test]
fn messages_that_rosbag2_compressed_one_by_one_are_read() {
    let import = Import::new();
    let packed: Vec<_> = stamped()
        .into_iter()
        .map(|message| Message {
            data: zstd(&message.data),
            ..message
        })
        .collect();
    let bag = import.put("bag/bag_0.mcap", &plain(&packed));
    import.put(
        "bag/metadata.yaml",
        metadata("MESSAGE", "zstd", &["bag_0.mcap"]).as_bytes(),
    );
    require_scene(&import.run(&bag).unwrap());
    require_scene(&import.run(&import.path("bag")).unwrap());
    let mut damaged = packed;
    damaged[9].data.truncate(12);
    let error = import.refusal(&damaged);
    assert!(error.contains("/joint_states") && error.contains("zstd"), "{error}");
}

#[test]
fn files_that_rosbag2_compressed_as_a_whole_are_read() {
    let import = Import::new();
    let all = stamped();
    let (first, second) = all.split_at(all.len() / 2);
    import.put("bag/bag_0.mcap.zstd", &zstd(&plain(first)));
    import.put("bag/bag_1.mcap.zstd", &zstd(&plain(second)));
    let listed = metadata("FILE", "zstd", &["bag_0.mcap.zstd", "bag_1.mcap.zstd"]);
    import.put("bag/metadata.yaml", listed.as_bytes());
    require_scene(&import.run(&import.path("bag")).unwrap());
    require_scene(&import.run(&import.put("one.mcap.zstd", &zstd(&plain(&all)))).unwrap());
    // `ros2 bag play` unpacks beside the compressed file; an incomplete result must be ignored.
    import.put("bag/bag_1.mcap", &plain(second)[..100]);
    require_scene(&import.run(&import.path("bag")).unwrap());
    // Early versions of rosbag2 list the folder, too.
    let listed = metadata("FILE", "zstd", &["bag/bag_0.mcap.zstd", "bag/bag_1.mcap.zstd"]);
    import.put("bag/metadata.yaml", listed.as_bytes());
    require_scene(&import.run(&import.path("bag")).unwrap());
    // A recorder that was killed while it compressed has written no metadata.
    std::fs::remove_file(import.path("bag/metadata.yaml")).unwrap();
    import.put("bag/bag_1.mcap", &plain(second));
    import.put("bag/bag_1.mcap.zstd", &zstd(&plain(second))[..20]);
    require_scene(&import.run(&import.path("bag")).unwrap());
}

#[test]
fn recordings_that_lack_a_listed_file_are_refused_by_its_name() {
    let import = Import::new();
    let all = stamped();
    for (nth, part) in all.chunks(all.len() / 3).enumerate() {
        import.put(&format!("bag/bag_{nth}.mcap"), &plain(part));
    }
    let names = ["bag_0.mcap", "bag_1.mcap", "bag_2.mcap"];
    let with_folder = names.map(|name| format!("bag/{name}"));
    for listed in [names, with_folder.each_ref().map(String::as_str)] {
        import.put("bag/metadata.yaml", metadata("NONE", "\"\"", &listed).as_bytes());
        require_scene(&import.run(&import.path("bag")).unwrap());
        for missing in ["bag_2.mcap", "bag_1.mcap"] {
            let path = import.path("bag").join(missing);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            let error = import.run(&import.path("bag")).unwrap_err().to_string();
            assert!(
                error.contains(&format!("expected {missing}, which its metadata.yaml lists")),
                "{error}"
            );
            assert!(!import.path("dataset").exists());
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn what_macos_leaves_beside_recordings_is_passed_over() {
    let import = Import::new();
    import.put("bag/bag_0.mcap", &plain(&stamped()));
    import.put(
        "bag/metadata.yaml",
        metadata("NONE", "\"\"", &["bag_0.mcap"]).as_bytes(),
    );
    let companion = b"\0\x05\x16\x07\0\x02\0\0Mac OS X        ";
    for name in ["._bag_0.mcap", "._metadata.yaml", ".DS_Store"] {
        import.put(&format!("bag/{name}"), companion);
    }
    require_scene(&import.run(&import.path("bag")).unwrap());
    // Given directly, it is named for what it is.
    let message = import.run(&import.path("bag/._bag_0.mcap")).unwrap_err().to_string();
    assert!(message.contains("companion file of macOS"), "{message}");
    let message = import.run(&import.put("empty.mcap", b"")).unwrap_err().to_string();
    assert!(
        message.contains("empty.mcap") && message.contains("an empty file"),
        "{message}"
    );
}

#[test]
fn a_compressed_file_that_was_cut_off_is_read_as_far_as_it_goes() {
    let import = Import::new();
    let plain = mcap_of(&stamped(), WriteOptions::new().chunk_size(Some(512)).compression(None));
    // In blocks of their own, like those of a longer recording.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    for piece in plain.chunks(512) {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
    }
    let packed = encoder.finish().unwrap();
    require_scene(&import.run(&import.put("bag.mcap.zstd", &packed)).unwrap());
    let mut rows = Vec::new();
    for cut in (0..packed.len()).step_by(packed.len() / 20) {
        // Any outcome but a panic is accepted.
        if let Ok(dataset) = import.run(&import.put("bag.mcap.zstd", &packed[..cut])) {
            rows.push(length(&dataset));
        }
    }
    assert!(rows.is_sorted() && rows[0] < ROWS, "{rows:?}");
}

#[test]
fn every_compression_of_chunks_is_read() {
    for compression in [None, Some(Compression::Lz4), Some(Compression::Zstd)] {
        let import = Import::new();
        let bytes = mcap_of(&stamped(), WriteOptions::new().compression(compression));
        require_scene(&import.run(&import.put("bag.mcap", &bytes)).unwrap());
    }
}

#[test]
fn chunks_larger_than_any_message_may_be_are_read() {
    let import = Import::new();
    let other = Message {
        topic: "/other",
        kind: "std_msgs/msg/ByteMultiArray",
        log: START,
        data: vec![0; 1 << 20],
    };
    let all = stamped();
    let others = std::iter::repeat_n(&other, 257);
    let one_chunk = WriteOptions::new()
        .chunk_size(None)
        .compression(Some(Compression::Zstd));
    let bytes = mcap_of(all.iter().chain(others), one_chunk);
    require_scene(&import.run(&import.put("bag.mcap", &bytes)).unwrap());
}

#[test]
fn records_that_are_too_large_are_refused_with_the_limit() {
    use mcap::records::op;
    let import = Import::new();
    for (opcode, said) in [
        (op::MESSAGE, "found a message of 314572800; leave its topic out"),
        (op::ATTACHMENT, "found an attachment of 314572800; leave it out"),
        (
            op::SCHEMA,
            "found a record of another kind of 314572800; the recording is damaged",
        ),
    ] {
        let bytes = [mcap::MAGIC, &[opcode], &(300_u64 << 20).to_le_bytes()].concat();
        let error = import.run(&import.put("bag.mcap", &bytes)).unwrap_err().to_string();
        assert!(
            error.contains("at most 268435456 bytes") && error.contains(said),
            "{error}"
        );
    }
}

#[test]
fn recordings_of_other_kinds_are_refused_with_the_command_that_converts_them() {
    let ros1 = b"#ROSBAG V2.0\nE\x00\x00\x00".as_slice();
    let sqlite = b"SQLite format 3\0\x10\x00\x01\x01".as_slice();
    let says = |import: &Import, bag: &Path, words: &[&str]| {
        let error = import.run(bag).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    let import = Import::new();
    let by_rosbags = ["ROS 1", "rosbags-convert --src", "--dst-storage mcap"];
    let by_ros = ["SQLite", "ros2 bag convert -i", "storage_id: mcap"];
    says(&import, &import.put("a.bag", ros1), &by_rosbags);
    says(&import, &import.put("renamed.mcap", ros1), &by_rosbags);
    says(&import, &import.put("b.db3", sqlite), &by_ros);
    says(&import, &import.put("c.db3.zstd", &zstd(sqlite)), &by_ros);
    import.put("ros1/run.bag", ros1);
    says(&import, &import.path("ros1"), &[&by_rosbags[..], &["run.bag"]].concat());
    import.put("sqlite/run_0.db3", sqlite);
    import.put("sqlite/metadata.yaml", metadata("", "", &["run_0.db3"]).as_bytes());
    says(&import, &import.path("sqlite"), &[&by_ros[..], &["run_0.db3"]].concat());
    // Converted into the same folder: the readable file is read.
    import.put("sqlite/run.mcap", &plain(&stamped()));
    require_scene(&import.run(&import.path("sqlite")).unwrap());
    import.put("other/run_0.mcap", &plain(&stamped()));
    import.put(
        "other/metadata.yaml",
        metadata("MESSAGE", "lz4", &["run_0.mcap"]).as_bytes(),
    );
    says(&import, &import.path("other"), &["zstd", "ros2 bag convert"]);
}

#[test]
fn records_with_texts_longer_than_themselves_are_refused_before_memory_is_reserved() {
    use mcap::records::op;
    let import = Import::new();
    for (opcode, numbers, record, field) in [
        (op::HEADER, 0, "header", "profile"),
        (op::SCHEMA, 2, "schema", "name"),
        (op::CHANNEL, 4, "channel", "topic"),
        (op::MESSAGE_INDEX, 2, "message index", "entries"),
        (op::CHUNK_INDEX, 32, "chunk index", "message index offsets"),
        (op::ATTACHMENT, 16, "attachment", "name"),
        (op::ATTACHMENT_INDEX, 40, "attachment index", "name"),
        (op::STATISTICS, 42, "statistics", "message counts of channels"),
        (op::METADATA, 0, "metadata", "name"),
        (op::METADATA_INDEX, 16, "metadata index", "name"),
    ] {
        let body = [&vec![0u8; numbers][..], &800_000_000u32.to_le_bytes(), b"abc"].concat();
        let length = (body.len() as u64).to_le_bytes();
        let bytes = [mcap::MAGIC, &[opcode], &length, &body].concat();
        let error = import.run(&import.put("bag.mcap", &bytes)).unwrap_err().to_string();
        let message = format!("{record} record: expected 800000000 bytes for its {field}, found 3;");
        assert!(error.contains(&message), "{error}");
    }
}
