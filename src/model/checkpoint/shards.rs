//! Weights on disk: one safetensors file, or several with an index, mapped into memory.
//!
//! Nothing is held: whoever reads a tensor reads it piece by piece, and its pages go back as they are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::WEIGHTS;
use crate::model::error::ModelError;
use crate::model::shim;

/// File name of the list of shards.
pub const INDEX: &str = "model.safetensors.index.json";

/// Bytes read at a time; a multiple of every type's size.
const PIECE: usize = 16 << 20;

/// All tensors of a checkpoint, whatever files they are in.
#[derive(Debug)]
pub struct Shards {
    files: Vec<Shard>,
    places: BTreeMap<String, Place>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    map: Mmap,
}

#[derive(Debug)]
struct Place {
    file: usize,
    shape: Vec<i64>,
    dtype: Dtype,
    /// In the map of the file.
    start: usize,
    bytes: usize,
}

/// One tensor in a file.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    shard: &'a Shard,
    place: &'a Place,
}

impl Shards {
    /// The weights of a directory in Hugging Face's layout: `model.safetensors`, or shards with an index.
    ///
    /// # Errors
    /// When there are none, or only pickled ones.
    pub fn find(directory: &Path) -> Result<PathBuf, ModelError> {
        let found = [WEIGHTS, INDEX].map(|name| directory.join(name));
        if let Some(path) = found.into_iter().find(|path| path.exists()) {
            return Ok(path);
        }
        if let Some(pickle) = pickles(directory).into_iter().next() {
            return Err(refuse_pickle(&pickle));
        }
        Err(ModelError::read(
            &directory.join(WEIGHTS),
            format!("it does not exist, nor does {INDEX} beside it"),
        ))
    }

    /// Opens one safetensors file, or the shards that an index (`*.json`) lists.
    ///
    /// # Errors
    /// When a file is missing, truncated or not safetensors, or the index and the shards do not tell the same.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        if is_pickle(path) {
            return Err(refuse_pickle(path));
        }
        let mut shards = Self {
            files: Vec::new(),
            places: BTreeMap::new(),
        };
        if path.extension().is_none_or(|extension| extension != "json") {
            shards.add(path)?;
            return Ok(shards);
        }
        let index = Index::read(path)?;
        let mut names: Vec<&String> = index.weight_map.values().collect();
        names.sort();
        names.dedup();
        for name in names {
            if Path::new(name).file_name().is_none_or(|file| file != name.as_str()) {
                return Err(ModelError::read(
                    path,
                    format!("expected shards beside it, found {name:?}"),
                ));
            }
            shards.add(&path.with_file_name(name))?;
        }
        for (key, file) in &index.weight_map {
            match shards.get(key) {
                Some(stored) if stored.file_name() == *file => {}
                Some(stored) => {
                    let found = stored.file_name();
                    return Err(ModelError::read(
                        path,
                        format!("it says that {key} is in {file}, found it in {found}"),
                    ));
                }
                None => {
                    return Err(ModelError::read(
                        path,
                        format!("it says that {key} is in {file}, which has no such tensor"),
                    ));
                }
            }
        }
        Ok(shards)
    }

    fn add(&mut self, path: &Path) -> Result<(), ModelError> {
        let map = File::open(path)
            .and_then(|file| shim::map(&file))
            .map_err(|e| ModelError::read(path, e))?;
        let damaged = |e: String| {
            ModelError::read(
                path,
                format!("{e}; the file is truncated or not safetensors, fetch it again"),
            )
        };
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| damaged(e.to_string()))?;
        let data = header + size_of::<u64>();
        for (key, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            let place = Place {
                file: self.files.len(),
                shape: info.shape.iter().map(|n| *n as i64).collect(),
                dtype: info.dtype,
                start: data + start,
                bytes: end.saturating_sub(start),
            };
            if self.places.insert(key.clone(), place).is_some() {
                return Err(damaged(format!("{key} is in another shard as well")));
            }
        }
        self.files.push(Shard {
            path: path.to_owned(),
            map,
        });
        Ok(())
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<Stored<'_>> {
        let place = self.places.get(name)?;
        let shard = self.files.get(place.file)?;
        Some(Stored { shard, place })
    }

    /// The files, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|shard| shard.path.as_path())
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.places.values().map(|place| place.bytes as u64).sum()
    }

    /// SHA-256 of the files one after another, in hexadecimal: names the weights by their content.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn hash(&self) -> Result<String, ModelError> {
        let mut hash = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        for shard in &self.files {
            let mut file = File::open(&shard.path).map_err(|e| ModelError::read(&shard.path, e))?;
            loop {
                let count = file.read(&mut piece).map_err(|e| ModelError::read(&shard.path, e))?;
                match piece.get(..count) {
                    Some(read) if count > 0 => hash.update(read),
                    _ => break,
                }
            }
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl Stored<'_> {
    /// Shape.
    pub fn shape(&self) -> &[i64] {
        &self.place.shape
    }

    /// Type.
    pub fn dtype(&self) -> Dtype {
        self.place.dtype
    }

    /// Size [bytes].
    pub fn bytes(&self) -> usize {
        self.place.bytes
    }

    /// The file it is in.
    pub fn path(&self) -> &Path {
        &self.shard.path
    }

    /// The name of that file.
    pub fn file_name(&self) -> String {
        let name = self.shard.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Shows the tensor's bytes to `see`, piece by piece; a piece's pages are given back when it was seen.
    ///
    /// # Errors
    /// What `see` answers.
    pub fn read<E>(&self, mut see: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let (start, bytes) = (self.place.start, self.place.bytes);
        let data = self.shard.map.get(start..start + bytes).unwrap_or_default();
        for (piece, at) in data.chunks(PIECE).zip((start..).step_by(PIECE)) {
            let seen = see(piece);
            shim::give_back(&self.shard.map, at, piece.len());
            seen?;
        }
        Ok(())
    }

    /// All its bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.place.bytes);
        let copied: Result<(), std::convert::Infallible> = self.read(|piece| {
            all.extend_from_slice(piece);
            Ok(())
        });
        match copied {
            Ok(()) => all,
            Err(never) => match never {},
        }
    }
}

/// The part of an index file that is read.
#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    fn read(path: &Path) -> Result<Self, ModelError> {
        let text = std::fs::read_to_string(path).map_err(|e| ModelError::read(path, e))?;
        serde_json::from_str(&text).map_err(|e| ModelError::read(path, e))
    }
}

/// Whether the name is one that PyTorch's pickles have.
pub fn is_pickle(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| ["pt", "pth", "bin", "ckpt", "pkl"].iter().any(|of| extension == *of))
}

/// Pickled weights in a directory, by name.
pub fn pickles(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_pickle(path)).collect();
    found.sort();
    found
}

/// Why a pickle is not read, and what to do.
pub fn refuse_pickle(path: &Path) -> ModelError {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match name.strip_suffix("_pytorch_model") {
        Some(steps) => format!("{steps}_model.safetensors"),
        None if name == "pytorch_model" => WEIGHTS.to_owned(),
        None => format!("{name}.safetensors"),
    };
    let target = path.with_file_name(name);
    ModelError::read(
        path,
        format!(
            "pickle can run code and is never read; convert it once where you trust it: python3 -c 'import sys, torch; \
             from safetensors.torch import save_file; save_file({{k: v.clone().contiguous() for k, v in \
             torch.load(sys.argv[1], map_location=\"cpu\", weights_only=True).items()}}, sys.argv[2])' {} {}",
            path.display(),
            target.display()
        ),
    )
}
