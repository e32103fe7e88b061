//! Settings of a recording that a checkpoint and its data, and datasets of one training, must agree on.

use super::Data;

/// Setting of which two recordings have different values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingDifference {
    /// Field of the contract's `data`.
    pub field: &'static str,
    /// Value of the first.
    pub expected: String,
    /// Value of the second.
    pub found: String,
}

/// Returns the settings of action steps in which two recordings differ: space, composition and reference. Rates are not
/// compared, since some are measured.
pub fn step_differences(expected: &Data, found: &Data) -> impl Iterator<Item = SettingDifference> {
    let setting = |field, expected, found| SettingDifference { field, expected, found };
    let settings = [
        setting(
            "action_space",
            format!("{:?}", expected.action_space),
            format!("{:?}", found.action_space),
        ),
        setting(
            "composition",
            format!("{:?}", expected.composition),
            format!("{:?}", found.composition),
        ),
        setting(
            "reference",
            format!("{:?}", expected.reference),
            format!("{:?}", found.reference),
        ),
    ];
    settings.into_iter().filter(|of| of.expected != of.found)
}
