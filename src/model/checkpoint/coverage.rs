//! Which tensor of a file goes where, what is missing and what is left over.

use std::collections::BTreeSet;
use std::fmt;

use safetensors::Dtype;

use super::shards::Shards;
use crate::model::parameters::Parameter;

/// The text head.
const TEXT_HEAD: &str = "lm_head.weight";

/// How a format names the tensors that the network asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// As the network does: Hugging Face and ours.
    Plain,
    /// StarVLA: the backbone is a part of the interface to it.
    Starvla,
}

/// What StarVLA writes before the backbone's names.
const STARVLA_BACKBONE: &str = "qwen_vl_interface.model.";

impl Naming {
    /// The name in the file of what the network calls `key`.
    pub fn stored(self, key: &str) -> String {
        match self {
            Self::Starvla if is_backbone(key) => format!("{STARVLA_BACKBONE}{key}"),
            _ => key.to_owned(),
        }
    }

    /// What the network calls the tensor `name` of the file.
    pub fn key(self, name: &str) -> &str {
        match self {
            Self::Plain => name,
            Self::Starvla => name.strip_prefix(STARVLA_BACKBONE).unwrap_or(name),
        }
    }
}

/// Whether the network's key is one of Qwen3-VL.
pub fn is_backbone(key: &str) -> bool {
    key.starts_with("model.") || key == TEXT_HEAD
}

/// How much of a checkpoint is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All: what has no place is a problem.
    Everything,
    /// Only what Qwen3-VL has: what was added to it may stay in the file.
    Backbone,
}

/// How a file's tensors cover a network's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Tensors that fit, in the network's order.
    pub used: Vec<Used>,
    /// Tensors of the file that are not read, and need not be.
    pub unused: Vec<String>,
    /// One line for each tensor that is missing, extra, of the wrong shape or of the wrong type.
    pub problems: Vec<String>,
}

/// A tensor that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The network's name.
    pub key: String,
    /// The file's name.
    pub stored: String,
    /// The file.
    pub file: String,
    /// Shape.
    pub shape: Vec<i64>,
    /// Type in the file.
    pub dtype: Dtype,
}

impl Coverage {
    /// Compares what a network asks for with what there is. Nothing but the files' headers is read.
    pub fn new(layout: &[Parameter], shards: &Shards, (naming, part): (Naming, Part)) -> Self {
        let mut coverage = Self {
            used: Vec::new(),
            unused: Vec::new(),
            problems: Vec::new(),
        };
        let mut asked = BTreeSet::new();
        for parameter in layout {
            let stored = naming.stored(&parameter.key);
            match fit(parameter, &stored, shards) {
                Ok(used) => coverage.used.push(used),
                Err(problem) => coverage.problems.push(problem),
            }
            asked.insert(stored);
        }
        for name in shards.names().filter(|name| !asked.contains(*name)) {
            let key = naming.key(name);
            // A tied head is the embedding under another name: it may be in the file and is not held twice.
            let needless = key == TEXT_HEAD || (part == Part::Backbone && !is_backbone(key));
            if needless {
                coverage.unused.push(name.to_owned());
            } else {
                let problem = format!("extra: {name}, which this configuration has no place for");
                coverage.problems.push(problem);
            }
        }
        coverage
    }
}

fn fit(parameter: &Parameter, stored: &str, shards: &Shards) -> Result<Used, String> {
    let Parameter { key, shape, .. } = parameter;
    let Some(found) = shards.get(stored) else {
        return Err(format!("missing: {stored}, expected shape {shape:?}"));
    };
    if found.shape() != shape {
        let found = found.shape();
        return Err(format!("shape of {stored}: expected {shape:?}, found {found:?}"));
    }
    match found.dtype() {
        Dtype::F32 | Dtype::BF16 => Ok(Used {
            key: key.clone(),
            stored: stored.to_owned(),
            file: found.file_name(),
            shape: shape.clone(),
            dtype: found.dtype(),
        }),
        other => Err(format!("type of {stored}: expected F32 or BF16, found {other:?}")),
    }
}

impl fmt::Display for Coverage {
    /// A line for each tensor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for used in &self.used {
            let Used {
                key,
                stored,
                file,
                shape,
                dtype,
            } = used;
            if key == stored {
                writeln!(f, "used      {key} {shape:?} {dtype:?} of {file}")?;
            } else {
                writeln!(f, "used      {key} {shape:?} {dtype:?}, {stored} of {file}")?;
            }
        }
        for name in &self.unused {
            writeln!(f, "not read  {name}")?;
        }
        for problem in &self.problems {
            writeln!(f, "problem   {problem}")?;
        }
        let (used, unused, problems) = (self.used.len(), self.unused.len(), self.problems.len());
        write!(f, "{used} tensors used, {unused} not read, {problems} problems")
    }
}
