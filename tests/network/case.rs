//! Reader of the reference's case files and their checkpoints; tests/reference/README.md describes them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors};
use tch::{Kind, Tensor};
use thinkvla::camera::rgb::RgbImage;

/// Folder of the sets.
pub fn sets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reference")
}

/// A file with images, texts and the results of the reference.
pub struct Case {
    pub name: String,
    pub metadata: HashMap<String, String>,
    pub tensors: HashMap<String, Tensor>,
}

/// One user message.
pub struct Message {
    pub text: String,
    pub images: Vec<RgbImage>,
}

impl Case {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        Self {
            name: path.strip_prefix(sets()).unwrap_or(path).display().to_string(),
            metadata: header.metadata().clone().unwrap_or_default(),
            tensors: tensors(&file),
        }
    }

    pub fn expected(&self, name: &str) -> &Tensor {
        let key = format!("expected.{name}");
        self.tensors
            .get(&key)
            .unwrap_or_else(|| panic!("{} holds no {key}", self.name))
    }

    /// Messages in order, each with its images.
    pub fn messages(&self) -> Vec<Message> {
        let mut images = (0..).map_while(|i| self.tensors.get(&format!("input.image.{i}")).map(to_image));
        if let Some(text) = self.metadata.get("text") {
            let (text, images) = (text.clone(), images.collect());
            return vec![Message { text, images }];
        }
        let of = |key: &str, i: usize| self.metadata.get(&format!("{key}.{i}")).cloned();
        (0..)
            .map_while(|i| {
                let count: usize = of("images", i)?.parse().unwrap();
                Some(Message {
                    text: of("text", i)?,
                    images: images.by_ref().take(count).collect(),
                })
            })
            .collect()
    }
}

/// All tensors of a file.
pub fn tensors(file: &SafeTensors) -> HashMap<String, Tensor> {
    let one = |(name, view): (String, safetensors::tensor::TensorView)| {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::I64 => Kind::Int64,
            Dtype::U8 => Kind::Uint8,
            other => panic!("{name}: unexpected type {other:?}"),
        };
        let shape: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
        (name, Tensor::from_data_size(view.data(), &shape, kind))
    };
    file.tensors().into_iter().map(one).collect()
}

fn to_image(pixels: &Tensor) -> RgbImage {
    let [height, width, 3] = pixels.size()[..] else {
        panic!("expected height x width x 3, found {:?}", pixels.size());
    };
    let bytes = Vec::try_from(pixels.flatten(0, -1)).unwrap();
    RgbImage::from_raw(width as u32, height as u32, bytes).unwrap()
}
