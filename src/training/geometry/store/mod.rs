//! Geometry targets on disk: each is computed once for all who use it, or stored with the images.
//!
//! ```text
//! CACHE/<source>/ab/abcdef….safetensors    one scene: `target`, (V·h·w, width), in 16 bits
//! CACHE/<source>/ab/.lock                  held by the process that makes a target whose name begins with ab
//! CACHE/<source>/ab/.open                  what is being written; its last act is to be renamed
//! ```
//!
//! The name of a scene is the SHA-256 of its views, its grid and the source's identity, so targets never become stale.
//! Those of a teacher are in bfloat16, since it computes in it, and no feature is too large for it; the cosine that is
//! learned loses about 1e-6. A scene takes V · h · w · width · 2 bytes: 1 MiB per view of 16 x 16 patches and 2048
//! channels.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::source::{SampleViews, TargetSource};
use crate::files;
use crate::training::error::RunError;

/// Name of the tensor in a file.
const TARGET: &str = "target";
/// Metadata key in its header: CRC-32 of the values.
const CHECKSUM: &str = "crc32";
/// Metadata key in its header: identity of the source.
const SOURCE: &str = "source";
/// Hexadecimal digits of a source's hash that name its folder.
const SOURCE_LETTERS: usize = 16;
/// Hexadecimal digits of a scene's hash that name its folder.
const SCENE_LETTERS: usize = 2;

/// Targets of one source; threads and processes share them.
#[derive(Debug)]
pub struct GeometryTargets {
    folder: PathBuf,
    identity: String,
    width: i64,
    kind: Kind,
    source: Mutex<Box<dyn TargetSource>>,
    made: AtomicU64,
}

impl GeometryTargets {
    /// Opens the targets under the directory `cache`, which is created if needed.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn open(cache: &Path, source: Box<dyn TargetSource>) -> Result<Self, RunError> {
        let identity = source.identity().to_owned();
        let name: String = hex(&Sha256::digest(&identity)).chars().take(SOURCE_LETTERS).collect();
        let folder = cache.join(name);
        fs::create_dir_all(&folder).map_err(RunError::file("make", &folder))?;
        Ok(Self {
            folder,
            identity,
            width: source.width(),
            kind: source.kind(),
            source: Mutex::new(source),
            made: AtomicU64::new(0),
        })
    }

    /// Returns how many targets were computed.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Returns the target of a scene: read from disk, or computed and stored. Both are identical to the bit. A damaged
    /// file is logged and computed again.
    ///
    /// # Shapes
    /// → (V·h·w, width), patches row by row of each view in turn, in the source's 16 bits on the CPU
    ///
    /// # Errors
    /// When the source fails on the scene, or the file system refuses.
    pub fn get(&self, scene: &SampleViews) -> Result<Tensor, RunError> {
        self.kept(scene, || self.make(scene))
    }

    /// Stores a target that was made with the scene; an existing one stays.
    ///
    /// # Shapes
    /// `target`: (V·h·w, width), patches row by row of each view in turn
    ///
    /// # Errors
    /// When it has another shape or a value that is not finite, or writing fails.
    pub fn put(&self, scene: &SampleViews, target: &Tensor) -> Result<(), RunError> {
        self.kept(scene, || self.checked(scene, target)).map(drop)
    }

    fn kept(&self, scene: &SampleViews, made: impl FnOnce() -> Result<Tensor, RunError>) -> Result<Tensor, RunError> {
        let name = self.name(scene);
        let folder = self.folder.join(name.get(..SCENE_LETTERS).unwrap_or_default());
        let path = folder.join(&name).with_extension("safetensors");
        if let Some(target) = self.read(&path, scene)? {
            return Ok(target);
        }
        fs::create_dir_all(&folder).map_err(RunError::file("make", &folder))?;
        let lock = folder.join(".lock");
        let held = File::create(&lock).map_err(RunError::file("make", &lock))?;
        held.lock().map_err(RunError::file("lock", &lock))?;
        // Another thread or process may have stored it meanwhile.
        if let Some(target) = self.read(&path, scene)? {
            return Ok(target);
        }
        let target = made()?;
        self.write(&target, &folder.join(".open"), &path)?;
        Ok(target)
    }

    fn name(&self, scene: &SampleViews) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.identity);
        for side in scene.grid {
            hash.update(side.to_le_bytes());
        }
        for view in scene.views {
            hash.update(view.width().to_le_bytes());
            hash.update(view.height().to_le_bytes());
            hash.update(view.data());
        }
        hex(&hash.finalize())
    }

    fn dtype(&self) -> Dtype {
        match self.kind {
            Kind::Half => Dtype::F16,
            _ => Dtype::BF16,
        }
    }

    /// Shape of a scene's target.
    ///
    /// # Shapes
    /// → (V·h·w, width)
    fn shape(&self, scene: &SampleViews) -> [i64; 2] {
        let [h, w] = scene.grid;
        [scene.views.len() as i64 * h * w, self.width]
    }

    /// Computes one scene at a time: a target must not depend on the other scenes of a batch.
    fn make(&self, scene: &SampleViews) -> Result<Tensor, RunError> {
        let _no_grad = tch::no_grad_guard();
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let made = source.target(scene)?;
        drop(source);
        self.made.fetch_add(1, Ordering::Relaxed);
        self.checked(scene, &made)
    }

    /// Converts a target to the type that is stored, and checks it.
    fn checked(&self, scene: &SampleViews, made: &Tensor) -> Result<Tensor, RunError> {
        let made = made.f_to_device(Device::Cpu)?.f_to_kind(self.kind)?.f_contiguous()?;
        let (expected, found) = (self.shape(scene), made.size());
        if found != expected {
            let message = format!("{}: expected a target of {expected:?}, found {found:?}", self.identity);
            return Err(RunError::data(&self.folder, message));
        }
        if made.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            let message = format!(
                "{}: expected finite features, found others; compute in float32 (geometry.compute)",
                self.identity
            );
            return Err(RunError::data(&self.folder, message));
        }
        Ok(made)
    }

    fn write(&self, target: &Tensor, open: &Path, path: &Path) -> Result<(), RunError> {
        let count = target.numel();
        let mut bytes = vec![0; count * 2];
        target.f_copy_data_u8(&mut bytes, count)?;
        let notes = HashMap::from([
            (SOURCE.to_owned(), self.identity.clone()),
            (CHECKSUM.to_owned(), checksum(&bytes)),
        ]);
        let shape = target.size().into_iter().map(|n| n as usize).collect();
        let view = TensorView::new(self.dtype(), shape, &bytes).map_err(RunError::file("write", path))?;
        let file = safetensors::serialize([(TARGET, view)], Some(notes)).map_err(RunError::file("write", path))?;
        let written = fs::write(open, file).and_then(|()| fs::rename(open, path));
        written.map_err(|error| {
            // A partial file takes space, which may be what is missing.
            let _ = fs::remove_file(open);
            let message = format!("{error}; free space there, or name another directory in geometry.cache");
            RunError::file("write", path)(message)
        })
    }

    /// Reads a target; `None` if there is no file, or a damaged one.
    fn read(&self, path: &Path, scene: &SampleViews) -> Result<Option<Tensor>, RunError> {
        let bytes = match files::read(path, files::PICTURE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RunError::file("read", path)(error)),
        };
        match self.parse(&bytes, self.shape(scene)) {
            Ok(target) => Ok(Some(target)),
            Err(problem) => {
                tracing::warn!("{} is damaged and made again: {problem}", path.display());
                Ok(None)
            }
        }
    }

    fn parse(&self, bytes: &[u8], expected: [i64; 2]) -> Result<Tensor, DamagedTarget> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let tensors = SafeTensors::deserialize(bytes)?;
        let target = tensors.tensor(TARGET)?;
        let found: Vec<i64> = target.shape().iter().map(|n| *n as i64).collect();
        if target.dtype() != self.dtype() || found != expected {
            return Err(DamagedTarget::Shape {
                dtype: self.dtype(),
                shape: expected,
                found_dtype: target.dtype(),
                found_shape: found,
            });
        }
        let note = |key| header.metadata().as_ref().and_then(|notes| notes.get(key));
        let found = checksum(target.data());
        match note(CHECKSUM) {
            Some(noted) if *noted == found => {}
            noted => {
                return Err(DamagedTarget::Checksum {
                    expected: noted.cloned(),
                    found,
                });
            }
        }
        if note(SOURCE) != Some(&self.identity) {
            return Err(DamagedTarget::Source {
                expected: self.identity.clone(),
                found: note(SOURCE).cloned(),
            });
        }
        Ok(Tensor::f_from_data_size(target.data(), &expected, self.kind)?)
    }
}

/// Damage of a stored target.
#[derive(Debug, thiserror::Error)]
enum DamagedTarget {
    /// The file is cut off or no safetensors file.
    #[error(transparent)]
    File(#[from] SafeTensorError),
    /// The target has another type or shape.
    #[error("expected {dtype:?} of {shape:?}, found {found_dtype:?} of {found_shape:?}")]
    Shape {
        /// Type of the source's targets.
        dtype: Dtype,
        /// Shape of the scene's target.
        shape: [i64; 2],
        /// Type in the file.
        found_dtype: Dtype,
        /// Shape in the file.
        found_shape: Vec<i64>,
    },
    /// The values are not those that were written.
    #[error("expected values of checksum {expected:?}, found {found}")]
    Checksum {
        /// Checksum in the header.
        expected: Option<String>,
        /// Checksum of the values.
        found: String,
    },
    /// The target is of another source.
    #[error("expected one made by {expected}, found {found:?}")]
    Source {
        /// Identity of this source.
        expected: String,
        /// Identity in the header.
        found: Option<String>,
    },
    /// libtorch refuses the values.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
