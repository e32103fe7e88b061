//! Parameter files: their sections, the patterns that name nodes, and values as YAML.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use serde_saphyr::NonFiniteFloatPolicy;

use super::error::ParameterError;
use crate::files;

/// Longest part of a value in a message (characters).
const LONGEST_SHOWN: usize = 60;
/// Key of a node's parameters in a parameter file.
const PARAMETERS: &str = "ros__parameters";

/// Parameter that rclrs declares for every node; it panics where the value is neither true nor false.
pub(super) const USE_SIM_TIME: &str = "use_sim_time";

/// Numbers that JSON does not have, as texts.
const NOT_FINITE: [&str; 3] = [".nan", ".inf", "-.inf"];

/// Reads a parameter file. Numbers that JSON does not have become texts (`.nan`, `.inf`, `-.inf`).
///
/// # Errors
/// When it cannot be read or parsed, or has values elsewhere than below `ros__parameters` of a node.
pub(super) fn read(path: &str) -> Result<Value, ParameterError> {
    let failed = |message| ParameterError::File {
        path: path.to_owned(),
        message,
    };
    let text = files::read_text(Path::new(path), files::CONFIGURATION).map_err(|e| failed(e.to_string()))?;
    let file = parse(&text).map_err(failed)?;
    // An empty file is one without parameters, as in ROS.
    if !file.is_null() {
        require_sections("", &file).map_err(failed)?;
    }
    Ok(file)
}

/// Parses a file or a value in YAML.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { non_finite_float_policy: NonFiniteFloatPolicy::AsString };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| e.to_string())
}

/// Checks that all values are parameters of a node. ROS refuses others as well, but is not shown every file.
fn require_sections(at: &str, value: &Value) -> Result<(), String> {
    let Value::Object(map) = value else {
        return Err(misplaced(at, value, "the name of a node, and ros__parameters below it"));
    };
    for (key, inner) in map {
        let here = format!("{at}{}{key}", if at.is_empty() { "" } else { ": " });
        match (key == PARAMETERS, at.is_empty(), inner) {
            (false, ..) => require_sections(&here, inner)?,
            (true, true, _) => return Err(misplaced(&here, inner, "the name of a node first")),
            (true, false, Value::Object(_)) => {}
            (true, false, _) => return Err(misplaced(&here, inner, "names and values below it")),
        }
    }
    Ok(())
}

fn misplaced(at: &str, value: &Value, expected: &str) -> String {
    let at = if at.is_empty() { "the file" } else { at };
    let found = shown(value);
    format!("{at}: expected {expected}, found {found}; the form is NODE: {{{PARAMETERS}: {{NAME: VALUE}}}}")
}

/// Writes a value for a message.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        _ => yaml(value).chars().take(LONGEST_SHOWN).collect(),
    }
}

/// Checks that a parameter can have a value: rclrs panics at an empty list and at [`USE_SIM_TIME`] of another type, and
/// ROS refuses the others without a name.
///
/// # Errors
/// Names the parameter, and what gives it.
pub(super) fn require_value(name: &str, given_by: &str, value: &Value) -> Result<(), ParameterError> {
    let refuse = |expected, found| {
        Err(ParameterError::Value {
            name: name.to_owned(),
            given_by: given_by.to_owned(),
            expected,
            found,
        })
    };
    let items = match value {
        Value::Null => return refuse("a value", shown(value)),
        _ if name == USE_SIM_TIME && !value.is_boolean() => return refuse("true or false", shown(value)),
        Value::Array(items) => items,
        _ => return Ok(()),
    };
    let kinds: BTreeSet<_> = items.iter().map(kind).collect();
    match kinds.len() {
        0 => refuse("values in the list", "none; leave the parameter out".to_owned()),
        1 => Ok(()),
        _ => refuse(
            "values of one type in the list, numbers all with a decimal point or all without",
            shown(value),
        ),
    }
}

/// Type of a value in a list.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(number) if number.is_f64() => "decimal",
        Value::String(text) if NOT_FINITE.contains(&text.as_str()) => "decimal",
        Value::Number(_) => "whole",
        Value::Bool(_) => "boolean",
        Value::String(_) => "text",
        _ => "other",
    }
}

/// Writes a value as YAML.
pub(super) fn yaml(value: &Value) -> String {
    match value.as_str() {
        Some(number) if NOT_FINITE.contains(&number) => number.to_owned(),
        _ => value.to_string(),
    }
}

/// Collects every parameter mapping in a file, with the name or pattern of its node.
pub(super) fn sections_of<'a>(prefix: &str, value: &'a Value, sections: &mut Vec<(String, &'a Value)>) {
    let Value::Object(map) = value else { return };
    for (key, inner) in map {
        if key == PARAMETERS {
            sections.push((prefix.to_owned(), inner));
        } else {
            sections_of(&format!("{prefix}/{}", key.trim_matches('/')), inner, sections);
        }
    }
}

/// Flattens nested parameters; the names of inner ones are joined with dots.
pub(super) fn flatten(prefix: &str, value: &Value, named: &mut Vec<(String, Value)>) {
    let Value::Object(map) = value else { return };
    for (key, inner) in map {
        let name = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match inner {
            Value::Object(_) => flatten(&name, inner, named),
            other => named.push((name, other.clone())),
        }
    }
}

/// Returns whether a pattern matches a node: `*` stands for one part of the name between slashes, `**` for any number of
/// them.
pub(super) fn matches(pattern: &str, node: &str) -> bool {
    fn parts(of: &str) -> Vec<&str> {
        of.split('/').filter(|part| !part.is_empty()).collect()
    }
    fn fit(pattern: &[&str], node: &[&str]) -> bool {
        match (pattern.split_first(), node.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), _) => {
                (0..=node.len()).any(|skipped| fit(rest, node.get(skipped..).unwrap_or_default()))
            }
            (Some((&"*", rest)), Some((_, of))) => fit(rest, of),
            (Some((part, rest)), Some((own, of))) => part == own && fit(rest, of),
            _ => false,
        }
    }
    fit(&parts(pattern), &parts(node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_rclcpp() {
        for (pattern, node, fits) in [
            ("/**", "/left/arm_node", true),
            ("/**", "/arm_node", true),
            ("/**/arm_node", "/arm_node", true),
            ("/**/arm_node", "/a/b/arm_node", true),
            ("/left/**", "/left/arm_node", true),
            ("/left/**", "/right/arm_node", false),
            ("/*/arm_node", "/left/arm_node", true),
            ("/*/arm_node", "/arm_node", false),
            ("/*", "/arm_node", true),
            ("left/arm_node", "/left/arm_node", true),
            ("arm_node", "/left/arm_node", false),
        ] {
            assert_eq!(matches(pattern, node), fits, "{pattern} {node}");
        }
    }

    fn read_text(text: &str) -> Result<Value, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().display().to_string();
        read(&path).map_err(|error| {
            let error = error.to_string();
            assert!(error.contains(&path), "{error}");
            error
        })
    }

    #[test]
    fn values_outside_of_parameters_are_refused_and_named() {
        for (text, part) in [
            (
                "arm_node:\n  ros_parameters:\n    dry_run: true\n",
                "arm_node: ros_parameters: dry_run: expected the name of a node, and ros__parameters below it, found true",
            ),
            ("dry_run: true\n", "dry_run: expected the name of a node, and"),
            (
                "ros__parameters: {dry_run: true}\n",
                "ros__parameters: expected the name of a node first",
            ),
            (
                "arm_node:\n  ros__parameters:\n",
                "arm_node: ros__parameters: expected names and values below it, found none",
            ),
            (
                "arm_node:\n  ros__parameters: {dry_run: true}\n  robot: a\n",
                "arm_node: robot: expected the name",
            ),
            ("- arm_node\n", "the file: expected the name of a node"),
        ] {
            let error = read_text(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let nothing = ["", "# nothing\n", "{}\n", "arm_node: {}\n"];
        assert!(nothing.iter().all(|text| read_text(text).is_ok()));
    }

    #[test]
    fn values_that_no_parameter_can_have_are_refused() {
        let check = |text: &str| require_value("robot", "here", &parse(text).unwrap()).map_err(|e| e.to_string());
        for (text, part) in [
            ("~", "expected a value, found none"),
            ("[]", "expected values in the list, found none"),
            ("[0, 1.5]", "expected values of one type in the list"),
            ("[a, 1]", "found [\"a\",1]"),
        ] {
            let error = check(text).unwrap_err();
            assert!(
                error.starts_with("parameter robot, given by here: ") && error.contains(part),
                "{error}"
            );
        }
        let clock = |text: &str| require_value(USE_SIM_TIME, "here", &parse(text).unwrap()).map_err(|e| e.to_string());
        for text in ["1", "\"true\"", "[true]"] {
            let error = clock(text).unwrap_err();
            assert!(
                error.ends_with(&format!("expected true or false, found {text}")),
                "{error}"
            );
        }
        assert_eq!((clock("true"), clock("on")), (Ok(()), Ok(())));
        for text in ["[0.0, .nan]", "[a, b]", "[true]", "[1, 2]", "a[]", "1", "\"\""] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
}
