//! A tiny dataset in which a target replaces one file, and the measurement of the memory that reading takes.

#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::Contract;
use thinkvla::dataset::DatasetWriter;
use thinkvla::dataset::frame::{Frame, ImageMode, Picture};
use thinkvla::dataset::schema::DatasetSchema;
use thinkvla::dataset::storage::Disk;

/// Memory that reading may take in addition to twice the size of the file (bytes).
const MARGIN: usize = 16 << 20;

const CONTRACT: &str = "
robot:
  arm: rm75
  base_frame: base_link
  tool_frame: tcp
  gripper_stroke_m: 0.07
  cameras:
    - {name: top, frame: top_optical_frame, width: 8, height: 8, rate_hz: 30}
data:
  fps: 10
  resize: {width: 224, height: 224, filter: bicubic}
  action_space: ee7
  composition: sequential
  reference: commanded
  statistics: [STATISTICS]
";

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system allocator; only sizes are counted in addition.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        PEAK.fetch_max(LIVE.fetch_add(block.size(), Relaxed) + block.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(block) }
    }

    unsafe fn dealloc(&self, at: *mut u8, block: Block) {
        LIVE.fetch_sub(block.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, block) }
    }
}

/// A dataset of two episodes of two frames, created once; its files are the initial corpus.
pub struct Tiny {
    root: PathBuf,
}

impl Tiny {
    pub fn new(target: &str, seeds: &[&str]) -> Self {
        leave_caught_panics_alone();
        let root = memory_folder().join(format!("thinkvla-fuzz-{target}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&root));
        std::fs::create_dir_all(&root).unwrap();
        let contract = root.with_extension("yaml");
        let one = |name| {
            format!("{{name: {name}, normalisation: min_max, min: -1, max: 1, mean: 0, std: 1, q01: -1, q99: 1}}")
        };
        let all = ["x", "y", "z", "rx", "ry", "rz", "gripper"].map(one).join(", ");
        std::fs::write(&contract, CONTRACT.replace("STATISTICS", &all)).unwrap();
        let contract = Contract::read(&contract).unwrap();
        let schema = DatasetSchema::of_arm(&contract, ImageMode::Png).unwrap();
        let mut writer = DatasetWriter::create(Arc::new(Disk), &root, &schema, &contract).unwrap();
        for episode in 0..2 {
            writer.begin(&format!("task {episode}")).unwrap();
            for at in 0..2 {
                let vectors = writer.info().vectors();
                let vectors = vectors
                    .map(|(name, f)| (name.to_owned(), vec![at as f32; f.len()]))
                    .collect();
                let pictures = vec![Picture::encode(&RgbImage::new(8, 8), ImageMode::Png).unwrap()];
                writer.push(&Frame { vectors, pictures }).unwrap();
            }
            writer.save(&Default::default()).unwrap();
        }
        let corpus = corpus(target);
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::copy(root.join(seed), corpus.join(format!("seed-{number}"))).unwrap();
        }
        Self { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes a file into the dataset.
    pub fn put(&self, name: &str, data: &[u8]) {
        let path = self.root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, data).unwrap();
    }

    /// Runs `read`, and asserts that its memory stays within the limit for a file of this size.
    pub fn measure(&self, data: &[u8], read: impl FnOnce(&Path)) {
        let taken = taken(|| read(&self.root));
        let allowed = 2 * data.len() + MARGIN;
        assert!(
            taken <= allowed,
            "{taken} bytes of memory for a file of {} bytes",
            data.len()
        );
    }
}

/// Folder of a target's initial inputs; created if needed.
pub fn corpus(target: &str) -> PathBuf {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&corpus).unwrap();
    corpus
}

/// Folder in memory if there is one, because every trial writes a file; otherwise the folder for temporary files.
pub fn memory_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Replaces libFuzzer's panic hook, which ends the process at every panic, so that only uncaught panics do.
fn leave_caught_panics_alone() {
    std::panic::set_hook(Box::new(|panic| {
        let of_reader = |file: &str| ["/parquet-", "/arrow-"].iter().any(|name| file.contains(name));
        if !panic.location().is_some_and(|at| of_reader(at.file())) {
            eprintln!("{panic}");
        }
    }));
}

/// Peak of the memory that `read` allocated, beyond what was allocated before.
pub fn taken(read: impl FnOnce()) -> usize {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    read();
    PEAK.load(Relaxed).saturating_sub(before)
}
