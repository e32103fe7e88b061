//! Writes episodes as ROS 2 recordings in MCAP, one file each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::{Path, PathBuf};

use nalgebra::vector;

use super::BagError;
use super::messages::{CompressedImage, JointState, PoseStamped, RecordedChunk, RecordedHeader, encode_text, schema};
use super::plan::{CAMERA, COMPRESSED, INSTRUCTION, Plan, Telling};
use crate::camera::compressed::Compression;
use crate::contract::{Composition, Contract, Reference};
use crate::dataset::decoded_images::DecodedImageReader;
use crate::dataset::encoded_images::EncodedImageReader;
use crate::dataset::feature::Dtype;
use crate::dataset::frame::{ImageMode, Picture};
use crate::dataset::reader::At;
use crate::dataset::storage::require_outside;
use crate::dataset::verify::require_described_rows;
use crate::dataset::{Dataset, DatasetError};

/// Options of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportOptions {
    /// Range of episodes.
    pub episodes: Range<usize>,
    /// Time of the first row of each recording (ns); datasets only know times within an episode.
    pub start_ns: u64,
}

/// Writes `episode-000000.mcap`, … into `out`, which must be outside of the dataset; returns their paths. Episodes without
/// rows are left out.
///
/// # Errors
/// When there are no such episodes, they cannot be read or have other rows than the metadata describes, or a file exists
/// already or cannot be written. Nothing is written if one of the files exists, and no part of an episode is left.
pub fn export_episodes(dataset: &Dataset, out: &Path, options: &ExportOptions) -> Result<Vec<PathBuf>, BagError> {
    let Range { start, end } = options.episodes;
    if start >= end || end > dataset.episodes().len() {
        return Err(BagError::Request(format!(
            "episodes {start} to {end}: expected some of the {} there are",
            dataset.episodes().len()
        )));
    }
    // The folder of the dataset itself is refused, too.
    require_outside(&out.join("episode"), dataset.root())?;
    require_described_rows(dataset)?;
    let path_of = |episode: usize| out.join(format!("episode-{episode:06}.mcap"));
    if let Some(taken) = options.episodes.clone().map(path_of).find(|path| path.exists()) {
        let problem = format!("{}: expected no file, found one; name another folder", taken.display());
        return Err(BagError::Request(problem));
    }
    std::fs::create_dir_all(out).map_err(BagError::file("make folder", out))?;
    let plan = Plan::of(dataset);
    let mut paths = Vec::new();
    for episode in options.episodes.clone() {
        if dataset.episodes().get(episode).is_none_or(|found| found.length == 0) {
            tracing::warn!(
                "{}: episode {episode} has no rows and is left out",
                dataset.root().display()
            );
            continue;
        }
        let path = path_of(episode);
        let mut exporter = Exporter::new(dataset, &plan, &path, options.start_ns)?;
        let written = exporter.episode(episode).and_then(|()| {
            let finished = exporter.writer.finish().map(drop);
            finished.map_err(|e| BagError::content(&path, e))
        });
        drop(exporter);
        written.inspect_err(|_| {
            // An import would take it for an episode that was cut off.
            drop(std::fs::remove_file(&path));
        })?;
        paths.push(path);
    }
    Ok(paths)
}

struct Exporter<'a> {
    dataset: &'a Dataset,
    writer: mcap::Writer<BufWriter<File>>,
    path: PathBuf,
    channels: BTreeMap<String, u16>,
    plan: &'a Plan,
    start_ns: u64,
    base_frame: String,
    composition: u8,
    reference: u8,
}

impl<'a> Exporter<'a> {
    fn new(dataset: &'a Dataset, plan: &'a Plan, path: &Path, start_ns: u64) -> Result<Self, BagError> {
        let file = File::create_new(path).map_err(BagError::file("create", path))?;
        let writer = mcap::WriteOptions::new()
            .profile("ros2")
            .library(concat!("thinkvla ", env!("CARGO_PKG_VERSION")))
            .create(BufWriter::new(file))
            .map_err(|e| BagError::content(path, e))?;
        // Datasets of other projects have no contract; step-by-step composition from the commanded pose is assumed.
        let contract = Contract::load(dataset.root()).ok();
        let data = contract.as_ref().map(|contract| &contract.data);
        Ok(Self {
            dataset,
            writer,
            path: path.to_owned(),
            channels: BTreeMap::new(),
            plan,
            start_ns,
            base_frame: contract
                .as_ref()
                .map_or("base_link".into(), |contract| contract.robot.base_frame.clone()),
            composition: u8::from(data.is_some_and(|data| data.composition == Composition::FromAnchor)),
            reference: u8::from(data.is_some_and(|data| data.reference == Reference::Measured)),
        })
    }

    fn episode(&mut self, episode: usize) -> Result<(), BagError> {
        let (dataset, plan, fps) = (self.dataset, self.plan, self.dataset.info().fps);
        let length = dataset.episodes().get(episode).map_or(0, |episode| episode.length);
        let task = dataset.task(At { episode, frame: 0 })?;
        self.notes(episode, task)?;
        let mut told = None;
        let mut cameras = Cameras::new(dataset)?;
        for frame in 0..length {
            let at = At { episode, frame };
            let stamp = self.start_ns + (frame as f64 / fps * 1e9).round() as u64;
            let task = dataset.task(at)?;
            if told.replace(task) != Some(task) {
                self.write(INSTRUCTION, schema::STRING, stamp, &encode_text(task))?;
            }
            for (column, telling) in &plan.tellings {
                let values: Vec<f64> = dataset.values(column, at)?.iter().map(|v| f64::from(*v)).collect();
                self.tell(telling, &values, stamp)?;
            }
            for (name, picture) in cameras.read(at)? {
                let camera = plan.cameras.get(&name).cloned().unwrap_or_default();
                let format = match picture.compression {
                    Compression::Jpeg => "jpeg",
                    Compression::Png => "png",
                };
                let topic = format!("{CAMERA}{camera}{COMPRESSED}");
                let image = CompressedImage {
                    header: RecordedHeader {
                        stamp,
                        frame_id: camera,
                    },
                    format: format.into(),
                    data: picture.bytes,
                };
                self.write(&topic, schema::COMPRESSED_IMAGE, stamp, &image.encode())?;
            }
        }
        Ok(())
    }

    /// Writes metadata that no message holds.
    fn notes(&mut self, episode: usize, task: &str) -> Result<(), BagError> {
        let info = self.dataset.info();
        let pairs = [
            ("episode", episode.to_string()),
            ("task", task.to_owned()),
            ("fps", info.fps.to_string()),
            ("robot_type", info.robot_type.clone().unwrap_or_default()),
        ];
        let metadata = mcap::records::Metadata {
            name: "thinkvla".into(),
            metadata: pairs.map(|(key, value)| (key.to_owned(), value)).into(),
        };
        let columns = self
            .plan
            .exported
            .to_notes()
            .map_err(|e| BagError::content(&self.path, e))?;
        for notes in [metadata, columns] {
            let written = self.writer.write_metadata(&notes);
            written.map_err(|e| BagError::content(&self.path, e))?;
        }
        Ok(())
    }

    fn tell(&mut self, telling: &Telling, values: &[f64], stamp: u64) -> Result<(), BagError> {
        let header = |frame: &str| RecordedHeader {
            stamp,
            frame_id: frame.to_owned(),
        };
        let value = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        match telling {
            Telling::Joints(topic, named) => {
                let joints = JointState {
                    header: header(""),
                    names: named.iter().map(|(_, name)| name.clone()).collect(),
                    positions: named.iter().map(|(index, _)| value(*index)).collect(),
                };
                self.write(topic, schema::JOINT_STATE, stamp, &joints.encode())
            }
            Telling::Pose(topic, first, rotation) => {
                let [x, y, z, rx, ry, rz] = [0, 1, 2, 3, 4, 5].map(|offset| value(first + offset));
                let turn = rotation(vector![rx, ry, rz]);
                let pose = PoseStamped {
                    header: header(&self.base_frame),
                    position: [x, y, z],
                    orientation: [turn.i, turn.j, turn.k, turn.w],
                };
                self.write(topic, schema::POSE_STAMPED, stamp, &pose.encode())
            }
            Telling::Step { topic, space } => {
                let step_period = 1.0 / self.dataset.info().fps;
                let chunk = RecordedChunk {
                    header: header(&self.base_frame),
                    space: *space,
                    composition: self.composition,
                    reference: self.reference,
                    step_period,
                    dim: values.len() as u32,
                    values: values.to_vec(),
                    observation_stamp: stamp,
                    expires: stamp + (step_period * 1e9) as u64,
                    source: "dataset".into(),
                    plan_id: 0,
                };
                self.write(topic, schema::ACTION_CHUNK, stamp, &chunk.encode())
            }
        }
    }

    fn write(&mut self, topic: &str, [name, definition]: [&str; 2], stamp: u64, data: &[u8]) -> Result<(), BagError> {
        let failed = |e: mcap::McapError| BagError::content(&self.path, e);
        let channel_id = match self.channels.get(topic) {
            Some(id) => *id,
            None => {
                let schema = self
                    .writer
                    .add_schema(name, "ros2msg", definition.as_bytes())
                    .map_err(failed)?;
                let id = self
                    .writer
                    .add_channel(schema, topic, "cdr", &BTreeMap::new())
                    .map_err(failed)?;
                self.channels.insert(topic.to_owned(), id);
                id
            }
        };
        let header = mcap::records::MessageHeader {
            channel_id,
            sequence: 0,
            log_time: stamp,
            publish_time: stamp,
        };
        self.writer.write_to_known_channel(&header, data).map_err(failed)
    }
}

/// Encoded images: those in rows as they are, those of videos as PNG.
struct Cameras<'a> {
    in_rows: Vec<String>,
    rows: EncodedImageReader<'a>,
    in_videos: Vec<String>,
    videos: DecodedImageReader<'a>,
}

impl<'a> Cameras<'a> {
    fn new(dataset: &'a Dataset) -> Result<Self, DatasetError> {
        let (in_videos, in_rows): (Vec<_>, Vec<_>) = dataset
            .info()
            .pictures()
            .partition(|(_, feature)| feature.dtype == Dtype::Video);
        let names = |columns: Vec<(&'a str, _)>| columns.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let (in_videos, in_rows) = (names(in_videos), names(in_rows));
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self {
            rows: dataset.pictures(&in_rows)?,
            in_rows: owned(&in_rows),
            videos: DecodedImageReader::new(dataset, &in_videos)?,
            in_videos: owned(&in_videos),
        })
    }

    fn read(&mut self, at: At) -> Result<Vec<(String, Picture)>, DatasetError> {
        let mut all: Vec<_> = self.in_rows.iter().cloned().zip(self.rows.read(at)?).collect();
        let mut images = Vec::new();
        self.videos.read(at, &mut images)?;
        for (name, image) in self.in_videos.iter().zip(&images) {
            let picture = Picture::encode(image, ImageMode::Png).map_err(DatasetError::Request)?;
            all.push((name.clone(), picture));
        }
        Ok(all)
    }
}
