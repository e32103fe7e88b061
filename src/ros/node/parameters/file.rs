//! Parameter files: their sections, the patterns that name nodes, and values as YAML.

use std::path::Path;

use serde_json::Value;
use serde_saphyr::NonFiniteFloatPolicy;

use super::error::ParameterError;
use crate::files;

/// Key of a node's parameters in a parameter file.
const PARAMETERS: &str = "ros__parameters";

/// Reads a parameter file. Numbers that JSON does not have become texts (`.nan`, `.inf`, `-.inf`).
///
/// # Errors
/// When it cannot be read or parsed.
pub(super) fn read(path: &str) -> Result<Value, ParameterError> {
    let failed = |message| ParameterError::File {
        path: path.to_owned(),
        message,
    };
    let text = files::read_text(Path::new(path), files::CONFIGURATION).map_err(|e| failed(e.to_string()))?;
    let options = serde_saphyr::options! { non_finite_float_policy: NonFiniteFloatPolicy::AsString };
    serde_saphyr::from_str_with_options(&text, options).map_err(|e| failed(e.to_string()))
}

/// Writes a value as YAML.
pub(super) fn yaml(value: &Value) -> String {
    match value.as_str() {
        Some(number @ (".nan" | ".inf" | "-.inf")) => number.to_owned(),
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
}
