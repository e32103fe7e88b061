//! Reads a LeRobot dataset: episodes, instructions, states, chunks of actions and pictures.
//!
//! ```sh
//! thinkvla collect --task height --episodes 3 --out out/data/height
//! cargo run --release --example read_dataset -- out/data/height
//! ```

use std::io::Write as _;
use std::path::Path;

use anyhow::bail;
use thinkvla::dataset::reader::{At, Dataset};

/// Number of steps of the chunk.
const STEPS: usize = 8;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root] = arguments.as_slice() else {
        bail!("expected DATASET, found {arguments:?}");
    };
    // The numeric columns are now in memory; images are read from disk on demand.
    let dataset = Dataset::open(Path::new(root))?;
    let info = dataset.info();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} episodes, {} rows, {} rows a second",
        dataset.episodes().len(),
        dataset.frames(),
        info.fps
    )?;
    for (name, feature) in info.vectors() {
        writeln!(out, "{name}: {}", feature.value_names().join(" "))?;
    }

    let cameras: Vec<&str> = info.pictures().map(|(name, _)| name).collect();
    let mut pictures = dataset.pictures(&cameras)?;
    for episode in dataset.episodes() {
        let first = At {
            episode: episode.index,
            frame: 0,
        };
        writeln!(
            out,
            "episode {}: {} rows, {:?}",
            episode.index,
            episode.length,
            dataset.task(first)?
        )?;
        writeln!(out, "  state {:.3?}", dataset.values("observation.state", first)?)?;
        // Past the end of an episode, steps are 0 and absolute values repeat; `valid` counts the recorded rows.
        let chunk = dataset.chunk("action", first, STEPS)?;
        writeln!(
            out,
            "  chunk of {STEPS}: {} rows recorded, {} values",
            chunk.valid,
            chunk.values.len()
        )?;
        for (camera, picture) in cameras.iter().zip(pictures.read(first)?) {
            writeln!(
                out,
                "  {camera}: {:?}, {} bytes",
                picture.compression,
                picture.bytes.len()
            )?;
        }
    }
    Ok(())
}
