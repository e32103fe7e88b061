//! Determines how a run's values were normalised. The robot's contract takes precedence, then the run itself, then
//! StarVLA's data configuration of the tag.

use super::super::statistics::{Columns, Named, RobotStatistics, StatisticsError};
use crate::contract::{ActionSpace, Contract, DimensionStatistics, Normalisation};

/// Data mixtures of StarVLA, each with a kind of robot it contains.
const MIXTURES: [(&str, &str); 13] = [
    ("libero_all", "libero_franka"),
    ("libero_goal", "libero_franka"),
    ("multi_robot", "libero_franka"),
    ("openpi_libero_all", "openpi_libero_franka"),
    ("vla_arena_L0_S", "vla_arena_franka"),
    ("vla_arena_L0_M", "vla_arena_franka"),
    ("vla_arena_L0_L", "vla_arena_franka"),
    ("bridge", "oxe_bridge"),
    ("bridge_rt_1", "oxe_bridge"),
    ("bridge_rt_1", "oxe_rt1"),
    ("demo_sim_pick_place", "demo_sim_franka_delta_joints"),
    ("realman_example", "realman_rm75_delta_joints"),
    ("realman_example_dp", "realman_rm75_delta_joints"),
];

/// Kinds of robot whose statistics have a tag of another name.
const TAGS: [(&str, &str); 5] = [
    ("libero_franka", "franka"),
    ("openpi_libero_franka", "franka"),
    ("vla_arena_franka", "franka"),
    ("demo_sim_franka_delta_joints", "franka"),
    ("realman_rm75_delta_joints", "new_embodiment"),
];

/// A run's statistics and what determines their normalisation.
#[derive(Debug, Clone, Copy)]
pub struct RunStatistics<'a> {
    /// Tag of the statistics.
    pub tag: &'a str,
    /// The statistics.
    pub statistics: &'a RobotStatistics,
    /// Data mixture of the training, if the run states it.
    pub mixture: Option<&'a str>,
    /// Contract of the robot that the user names.
    pub robot: Option<&'a Contract>,
}

/// Names and normalisation of values, and their source for messages.
#[derive(Debug)]
struct NormalisationRule {
    of: Vec<(String, Normalisation)>,
    source: String,
}

impl RunStatistics<'_> {
    /// Returns how actions are normalised; adds notes for the user to `notes`.
    ///
    /// # Errors
    /// When the normalisation is not known, or the statistics are incomplete.
    pub fn actions(&self, notes: &mut Vec<String>) -> Result<Vec<DimensionStatistics>, StatisticsError> {
        let columns = &self.statistics.action;
        let count = columns.len();
        let given = self.robot.map(|robot| normalisations(&robot.data.statistics));
        let normalisations = match (given.filter(|given| given.len() == count), self.own(notes)?) {
            (Some(given), own) => {
                notes.extend(own.iter().flat_map(|own| differences(&given, own)));
                given
            }
            (None, Some(own)) => own.of,
            (None, None) => {
                let tag = self.tag.to_owned();
                return Err(StatisticsError::Unknown { count, tag });
            }
        };
        columns.dimensions(&normalisations)
    }

    /// Returns how the robot's state is normalised; empty where the network does not get it.
    ///
    /// # Errors
    /// When the normalisation is not known, or the statistics are incomplete.
    pub fn state(&self, has_state: bool) -> Result<Vec<DimensionStatistics>, StatisticsError> {
        if !has_state {
            return Ok(Vec::new());
        }
        let of_robot = self
            .robot
            .map(|robot| normalisations(&robot.data.state))
            .unwrap_or_default();
        let of_run = self.statistics.normalisation.as_ref().map(|own| named(&own.state));
        let count = self.statistics.state.as_ref().map_or(0, Columns::len);
        let normalisations = [Some(of_robot.clone()), of_run].into_iter().flatten();
        let mut fitting = normalisations.filter(|normalisations| normalisations.len() == count && count > 0);
        match (&self.statistics.state, fitting.next()) {
            (Some(state), Some(normalisations)) => state.dimensions(&normalisations),
            _ => Err(StatisticsError::State {
                expected: count,
                found: of_robot.len(),
            }),
        }
    }

    /// Returns the normalisation stated by the run, or else StarVLA's for the tag.
    fn own(&self, notes: &mut Vec<String>) -> Result<Option<NormalisationRule>, StatisticsError> {
        let count = self.statistics.action.len();
        let written = self.statistics.normalisation.as_ref().map(|own| named(&own.action));
        let known = match (written, self.mixture) {
            (Some(of), _) if of.len() == count => Some(NormalisationRule {
                of,
                source: "the statistics".into(),
            }),
            (Some(of), _) => {
                return Err(StatisticsError::Normalisation {
                    tag: self.tag.to_owned(),
                    expected: count,
                    found: of.len(),
                });
            }
            (None, Some(mixture)) => self.of_mixture(mixture).or_else(|| {
                let of_tag = self.of_kind(self.tag)?;
                notes.push(format!(
                    "data_mix {mixture} is not known to hold {}: actions are taken to be normalised as StarVLA usually does \
                     for it; --robot can say otherwise",
                    self.tag
                ));
                Some(of_tag)
            }),
            (None, None) => self.of_kind(self.tag),
        };
        known.map(|known| self.masked(known, notes)).transpose()
    }

    /// Looks the normalisation up by the kind of robot in a data mixture that these statistics belong to.
    fn of_mixture(&self, mixture: &str) -> Option<NormalisationRule> {
        let is_of_tag = |kind: &str| kind == self.tag || TAGS.contains(&(kind, self.tag));
        let mut kinds = MIXTURES
            .iter()
            .filter(|(name, kind)| *name == mixture && is_of_tag(kind));
        let (_, kind) = kinds.next()?;
        let NormalisationRule { of, .. } = self.of_kind(kind)?;
        Some(NormalisationRule {
            of,
            source: format!("the data_mix {mixture}"),
        })
    }

    fn of_kind(&self, kind: &str) -> Option<NormalisationRule> {
        Some(NormalisationRule {
            of: normalisations_of(kind, self.statistics.action.len())?,
            source: format!("the tag {kind}"),
        })
    }

    /// Applies the mask: where it is false, a value is 0 or 1, whatever else is known.
    fn masked(
        &self,
        mut known: NormalisationRule,
        notes: &mut Vec<String>,
    ) -> Result<NormalisationRule, StatisticsError> {
        let Some(mask) = &self.statistics.action.mask else {
            return Ok(known);
        };
        if mask.len() != known.of.len() {
            return Err(StatisticsError::Mask {
                tag: self.tag.to_owned(),
                expected: known.of.len(),
                found: mask.len(),
            });
        }
        for ((name, normalisation), continuous) in known.of.iter_mut().zip(mask) {
            match (*continuous, *normalisation) {
                (true, _) | (false, Normalisation::Binary) => {}
                (false, other) => {
                    notes.push(format!(
                        "{name} is 0 or 1 by the mask of {}, and {} by {}; the mask counts",
                        self.tag,
                        spelled(other),
                        known.source
                    ));
                    *normalisation = Normalisation::Binary;
                }
            }
        }
        Ok(known)
    }
}

/// Describes where the robot's contract differs from the run.
fn differences(given: &[(String, Normalisation)], own: &NormalisationRule) -> Vec<String> {
    let pairs = given.iter().zip(&own.of).filter(|(given, own)| given.1 != own.1);
    pairs
        .map(|((name, given), (_, of_run))| {
            format!(
                "{name} is {} by the contract of --robot and {} by {} of the run; the contract counts",
                spelled(*given),
                spelled(*of_run),
                own.source
            )
        })
        .collect()
}

/// Returns the spelling used in contracts.
fn spelled(normalisation: Normalisation) -> &'static str {
    match normalisation {
        Normalisation::MinMax => "min_max",
        Normalisation::Q99 => "q99",
        Normalisation::MeanStd => "mean_std",
        Normalisation::None => "none",
        Normalisation::Binary => "binary",
    }
}

fn normalisations(dimensions: &[DimensionStatistics]) -> Vec<(String, Normalisation)> {
    let pair = |of: &DimensionStatistics| (of.name.clone(), of.normalisation);
    dimensions.iter().map(pair).collect()
}

fn named(values: &[Named]) -> Vec<(String, Normalisation)> {
    values.iter().map(|value| (value.name.clone(), value.mode)).collect()
}

/// Returns names and normalisation of the actions of a kind of robot, or of a tag's most common kind, as in StarVLA's
/// data configurations; `None` for unknown ones.
fn normalisations_of(kind: &str, dimensions: usize) -> Option<Vec<(String, Normalisation)>> {
    use Normalisation::{Binary, MeanStd, MinMax, None as Untouched, Q99};
    let (space, motion, gripper) = match (kind, dimensions) {
        ("franka" | "libero_franka" | "vla_arena_franka", 7) => (ActionSpace::Ee7, MinMax, Untouched),
        ("openpi_libero_franka", 7) => (ActionSpace::Ee7, Q99, Q99),
        ("oxe_bridge" | "oxe_rt1", 7) => (ActionSpace::Ee7, Q99, Binary),
        ("demo_sim_franka_delta_joints", 8) => (ActionSpace::Joint8, MinMax, Binary),
        // StarVLA's recipe for the RM75: seven joints and a gripper.
        ("new_embodiment" | "realman_rm75_delta_joints", 8) => (ActionSpace::Joint8, MeanStd, MinMax),
        _ => return None,
    };
    let mut normalisations: Vec<_> = match space {
        ActionSpace::Ee7 => ["x", "y", "z", "rx", "ry", "rz"]
            .map(|name| (name.into(), motion))
            .into(),
        ActionSpace::Joint8 => (1..=7).map(|i| (format!("joint{i}"), motion)).collect(),
    };
    normalisations.push(("gripper".into(), gripper));
    Some(normalisations)
}
