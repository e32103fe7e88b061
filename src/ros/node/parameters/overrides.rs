//! Parameter overrides from the command line, matched to a node as rclcpp does it; the last value of a parameter counts.
//! rclrs itself accepts only whole names and `/**`, lets a whole name in a file win over everything given after it, and
//! does not report misspelt parameters.

use std::collections::BTreeMap;
use std::path::Path;

use strsim::levenshtein;

use super::arguments::partition;
use super::error::{ParameterError, UnknownParameter};
use super::file::{self, USE_SIM_TIME, flatten, matches, sections_of, yaml};

/// Parameters that every node has.
const COMMON_PARAMETERS: [&str; 2] = [USE_SIM_TIME, "start_type_description_service"];
/// Prefix of the parameters that rclcpp has for the quality of service of topics; rclrs does not read them.
const QOS_OVERRIDES: &str = "qos_overrides.";
/// Parameters of nodes of this package that resemble those of others.
const RESEMBLING: [&str; 2] = ["instruction", "instructions"];
/// Largest edit distance at which an unknown name is taken for a misspelt known one.
const MISSPELT: usize = 2;

/// A parameter given to a node.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterAssignment {
    /// Name of the parameter.
    pub name: String,
    /// File or argument that gives it.
    pub source: String,
    /// Whether the section also applies to other nodes, which may have a parameter of this name.
    pub shared: bool,
    /// Its value as YAML.
    value: String,
    /// Whether rclrs accepts it in this form.
    honoured: bool,
}

/// Arguments of a process and the parameters they give to one node.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    arguments: Vec<String>,
    given: Vec<ParameterAssignment>,
    /// Values of `--params-file` and `-p` that apply to this node.
    read: Vec<String>,
    /// Warnings for the user.
    pub notes: Vec<String>,
}

impl Overrides {
    /// Reads the arguments for the node of this name and namespace, which remapping arguments may replace. Files that do
    /// not exist are left to ROS, which refuses them.
    ///
    /// # Errors
    /// Names a parameter file that exists and cannot be read, or a value that no parameter can have.
    pub fn read(
        arguments: impl IntoIterator<Item = String>,
        name: &str,
        namespace: &str,
    ) -> Result<Self, ParameterError> {
        let arguments: Vec<String> = arguments.into_iter().collect();
        let (sections, _) = partition(&arguments);
        let ros = sections.concat();
        let ros: Vec<_> = ros.iter().copied().zip(ros.iter().copied().skip(1)).collect();
        let node = full_name(&ros, name, namespace);
        let mut all = Self::default();
        for (flag, value) in ros {
            match flag {
                "--params-file" => all.read_file(value, &node)?,
                "-p" | "--param" => all.read_assignment(value, &node)?,
                _ => (),
            }
        }
        let of_topics = all.given.iter().filter(|given| given.name.starts_with(QOS_OVERRIDES));
        let notes = of_topics.map(|ParameterAssignment { name, source, .. }| {
            format!("parameter {name}, given by {source}: this node's quality of service is fixed; it is not used")
        });
        let notes: Vec<_> = notes.collect();
        all.notes.extend(notes);
        all.arguments = arguments;
        Ok(all)
    }

    /// Arguments with which rclrs uses the last value of each parameter: unchanged where each parameter is given once and
    /// in a form that rclrs accepts, otherwise with each parameter once, as `-p`.
    pub fn arguments(&self) -> Vec<String> {
        let last: BTreeMap<_, _> = self.given.iter().map(|given| (given.name.as_str(), given)).collect();
        // Different types for one name make rclrs panic, so every parameter is passed only once, even if its values agree.
        if last.len() == self.given.len() && self.given.iter().all(|given| given.honoured) {
            return self.arguments.clone();
        }
        let mut arguments = without(&self.arguments, &self.read);
        arguments.extend(["--".to_owned(), "--ros-args".to_owned()]);
        for (name, given) in last.into_iter().filter(|(name, _)| can_be_assigned(name)) {
            arguments.extend(["-p".to_owned(), format!("{name}:={}", given.value)]);
        }
        arguments
    }

    /// Checks that every given name is a parameter of the node. Returns warnings about names in sections for several nodes
    /// that are not similar to a known one.
    ///
    /// # Errors
    /// Names the unknown parameter, where it is given, and the nearest known name.
    pub fn require_known(&self, known: &[&'static str]) -> Result<Vec<UnknownParameter>, ParameterError> {
        let mut warnings = Vec::new();
        for given in &self.given {
            let name = given.name.as_str();
            if known.contains(&name) || COMMON_PARAMETERS.contains(&name) || name.starts_with(QOS_OVERRIDES) {
                continue;
            }
            let nearest = known.iter().min_by_key(|known| levenshtein(known, name));
            let nearest = nearest.copied().unwrap_or_default();
            let unknown = UnknownParameter {
                name: name.to_owned(),
                given_by: given.source.clone(),
                nearest,
            };
            if given.shared && (RESEMBLING.contains(&name) || levenshtein(nearest, name) > MISSPELT) {
                warnings.push(unknown);
            } else {
                return Err(ParameterError::Unknown(unknown));
            }
        }
        Ok(warnings)
    }

    fn read_file(&mut self, path: &str, node: &str) -> Result<(), ParameterError> {
        if !Path::new(path).exists() {
            return Ok(());
        }
        // ROS may be able to read a file that is refused here, and then its values would silently win over later ones.
        let file = file::read(path)?;
        self.read.push(path.to_owned());
        let mut sections = Vec::new();
        sections_of("", &file, &mut sections);
        // The node's name has priority over a pattern.
        sections.sort_by_key(|(pattern, _)| !pattern.contains('*'));
        let before = self.given.len();
        for (pattern, parameters) in &sections {
            if !matches(pattern, node) {
                continue;
            }
            let honoured = pattern == "/**" || pattern == node;
            let mut named = Vec::new();
            flatten("", parameters, &mut named);
            named
                .iter()
                .try_for_each(|(name, value)| file::require_value(name, path, value))?;
            self.given
                .extend(named.into_iter().map(|(name, value)| ParameterAssignment {
                    name,
                    source: path.to_owned(),
                    shared: pattern.contains('*'),
                    value: yaml(&value),
                    honoured,
                }));
        }
        if !sections.is_empty() && self.given.len() == before {
            let names: Vec<_> = sections.iter().map(|(pattern, _)| pattern.as_str()).collect();
            self.notes.push(format!(
                "{path}: expected parameters of {node}, found those of {}; nothing of the file is used",
                names.join(", ")
            ));
        }
        Ok(())
    }

    fn read_assignment(&mut self, assignment: &str, node: &str) -> Result<(), ParameterError> {
        let Some((name, value)) = assignment.split_once(":=") else {
            return Ok(());
        };
        let name = match name.split_once(':') {
            Some((of, name)) if node.strip_prefix('/') == Some(of) => name,
            Some((of, _)) => {
                let note =
                    format!("-p {assignment}: expected a parameter of {node}, found one of {of}; it is not used");
                self.notes.push(note);
                return Ok(());
            }
            None => name,
        };
        let source = format!("-p {assignment}");
        match file::parse(value) {
            Ok(found) if found.is_array() || name == USE_SIM_TIME => file::require_value(name, &source, &found)?,
            _ => (),
        }
        self.read.push(assignment.to_owned());
        self.given.push(ParameterAssignment {
            name: name.to_owned(),
            source,
            shared: false,
            value: value.to_owned(),
            honoured: true,
        });
        Ok(())
    }
}

/// Returns whether a name can stand before `:=`; names of other nodes' parameters, in a section for all nodes, may not.
fn can_be_assigned(name: &str) -> bool {
    let is_word = |part: &str| {
        part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !part.starts_with(|c: char| c.is_ascii_digit())
    };
    name.split(['.', '/']).all(|part| !part.is_empty() && is_word(part))
}

/// Arguments without the parameter flags that have one of these values.
fn without(arguments: &[String], values: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for argument in arguments {
        let gives = |flag: &String| ["--params-file", "-p", "--param"].contains(&flag.as_str());
        if kept.last().is_some_and(gives) && values.contains(argument) {
            kept.pop();
        } else {
            kept.push(argument.clone());
        }
    }
    kept
}

/// Full name of the node after the remapping rules, of which the first that applies counts, as in rcl.
fn full_name(ros: &[(&str, &str)], name: &str, namespace: &str) -> String {
    let rules = ros.iter().filter(|(flag, _)| ["-r", "--remap"].contains(flag));
    let replaced = |node: &str, wanted: &[&str]| {
        rules.clone().find_map(|(_, rule)| {
            let (from, to) = rule.split_once(":=")?;
            let (of, from) = from.split_once(':').unwrap_or((node, from));
            (of == node && wanted.contains(&from)).then_some(to)
        })
    };
    let name = replaced(name, &["__node", "__name"]).unwrap_or(name);
    let namespace = replaced(name, &["__ns"]).unwrap_or(namespace);
    format!("/{}/{name}", namespace.trim_matches('/')).replace("//", "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["command_rate_hz", "dry_run", "robot"];

    fn read(yaml: &str, more: &[&str]) -> (Result<Overrides, ParameterError>, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        let path = file.path().display().to_string();
        let arguments = ["arm_node", "--ros-args", "--params-file", &path];
        let arguments = arguments.iter().chain(more).map(|argument| (*argument).to_owned());
        (Overrides::read(arguments, "arm_node", "/"), file)
    }

    fn given(yaml: &str, more: &[&str]) -> (Overrides, tempfile::NamedTempFile) {
        let (overrides, file) = read(yaml, more);
        (overrides.unwrap(), file)
    }

    fn rates(yaml: &str, more: &[&str]) -> Vec<String> {
        let (overrides, _file) = given(yaml, more);
        let named = overrides.given.iter().filter(|given| given.name == "command_rate_hz");
        named.map(|given| given.value.clone()).collect()
    }

    #[test]
    fn wildcards_among_names_are_handed_on_in_a_form_that_is_honoured() {
        let yaml = "/**/arm_node:\n  ros__parameters: {command_rate_hz: 200.0}\n";
        let (overrides, _file) = given(yaml, &["-r", "__ns:=/left"]);
        let arguments = overrides.arguments();
        assert!(
            arguments.ends_with(&["--ros-args".into(), "-p".into(), "command_rate_hz:=200.0".into()]),
            "{arguments:?}"
        );
        for number in [".nan", "-.inf"] {
            let yaml = format!("/*:\n  ros__parameters: {{command_rate_hz: {number}}}\n");
            assert_eq!(rates(&yaml, &[]), [number]);
        }
        // Parameters that rclrs accepts are not passed twice.
        let (overrides, _file) = given("/**:\n  ros__parameters: {dry_run: true}\n", &[]);
        assert_eq!(overrides.arguments(), overrides.arguments);
    }

    #[test]
    fn of_what_is_given_twice_the_last_counts() {
        for pattern in ["/arm_node", "arm_node", "/**/arm_node", "/**"] {
            let yaml = format!(
                "{pattern}:\n  ros__parameters: {{dry_run: false, robot: \"yes\", command_rate_hz: 200, io-method: 1}}\n"
            );
            let (overrides, _file) = given(
                &yaml,
                &["-p", "dry_run:=true", "-r", "a:=b", "-p", "command_rate_hz:=50.0"],
            );
            let expected =
                "arm_node --ros-args -r a:=b -- --ros-args -p command_rate_hz:=50.0 -p dry_run:=true -p robot:=\"yes\"";
            assert_eq!(overrides.arguments().join(" "), expected, "{pattern}");
        }
        // A later file counts as well.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "/**:\n  ros__parameters: {dry_run: true}\n").unwrap();
        let path = file.path().display().to_string();
        let earlier = "/arm_node:\n  ros__parameters: {dry_run: false}\n";
        let (overrides, _file) = given(earlier, &["--params-file", &path]);
        assert!(overrides.arguments().ends_with(&["dry_run:=true".into()]));
        // A file that does not exist is left to ROS, which refuses it.
        let (overrides, _file) = given(earlier, &["-p", "dry_run:=true", "--params-file", "/none"]);
        assert!(overrides.arguments().contains(&"/none".to_owned()));
    }

    #[test]
    fn the_name_of_the_node_has_priority_over_a_pattern() {
        let yaml = "left:\n  arm_node:\n    ros__parameters: {command_rate_hz: 50.0}\n\
                    left/**:\n  ros__parameters: {command_rate_hz: 200.0}\n";
        assert_eq!(rates(yaml, &["-r", "__ns:=/left"]), ["200.0", "50.0"]);
    }

    #[test]
    fn files_that_are_there_and_cannot_be_read_are_refused() {
        for yaml in ["arm_node:\n  ros__parameters: {robot: a, robot: b}\n", "arm_node: [\n"] {
            let (overrides, file) = read(yaml, &[]);
            let error = overrides.unwrap_err().to_string();
            assert!(error.contains(&file.path().display().to_string()), "{error}");
        }
    }

    #[test]
    fn values_at_which_rclrs_panics_are_refused_in_files_and_arguments() {
        for (yaml, argument) in [
            ("arm_node:\n  ros__parameters: {robot: []}\n", "a:=1"),
            ("{}", "robot:=[]"),
            ("{}", "use_sim_time:=1"),
        ] {
            let error = read(yaml, &["-p", argument]).0.unwrap_err().to_string();
            assert!(
                error.contains(", given by ") && error.contains(": expected "),
                "{error}"
            );
        }
        let others = "other:\n  ros__parameters: {robot: []}\n";
        assert!(read(others, &["-p", "other:robot:=[]"]).0.is_ok());
    }

    #[test]
    fn assignments_to_other_nodes_are_told_and_not_used() {
        let (overrides, _file) = given("{}", &["-p", "arm_node:dry_run:=false", "-r", "__ns:=/left"]);
        assert!(overrides.given.is_empty());
        assert!(
            overrides
                .notes
                .concat()
                .contains("expected a parameter of /left/arm_node"),
            "{:?}",
            overrides.notes
        );
    }

    #[test]
    fn names_and_namespaces_are_those_after_remapping() {
        let yaml = "left:\n  pilot:\n    ros__parameters: {command_rate_hz: 50.0}\n";
        assert_eq!(rates(yaml, &["-r", "__ns:=/left", "-r", "__node:=pilot"]), ["50.0"]);
        assert_eq!(rates(yaml, &[]), Vec::<String>::new());
        // The first rule counts, and rules of other nodes do not.
        let rules = ["-r", "other:__ns:=/right", "-r", "arm_node:__node:=pilot"];
        let more = ["-r", "__ns:=/left", "-r", "__ns:=/right"];
        assert_eq!(rates(yaml, &[rules, more].concat()), ["50.0"]);
        let (overrides, _file) = given(yaml, &[]);
        let [note] = overrides.notes.as_slice() else {
            panic!("{:?}", overrides.notes)
        };
        assert!(
            note.contains("parameters of /arm_node, found those of /left/pilot"),
            "{note}"
        );
    }

    #[test]
    fn misspelt_names_are_errors_and_those_of_other_nodes_are_not() {
        let refused = |yaml: &str, more: &[&str]| {
            let known = given(yaml, more).0.require_known(&KNOWN);
            known.map_err(|e| e.to_string())
        };
        let error = refused("arm_node:\n  ros__parameters: {command_rate: 200.0}\n", &[]).unwrap_err();
        assert!(
            error.contains("parameter command_rate,") && error.contains("command_rate_hz"),
            "{error}"
        );
        let error = refused("/**:\n  ros__parameters: {dryrun: false}\n", &[]).unwrap_err();
        assert!(error.contains("the nearest is dry_run"), "{error}");
        assert!(refused("{}", &["-p", "camera_slop:=1.0"]).is_err());
        assert_eq!(
            refused("{}", &["-p", "other:camera_slop:=1.0", "-p", "dry_run:=true"]),
            Ok(vec![])
        );
        let (of_topics, _file) = given("{}", &["-p", "qos_overrides./tf.publisher.depth:=5"]);
        assert!(of_topics.require_known(&KNOWN).unwrap().is_empty());
        assert!(of_topics.notes.concat().contains("quality of service is fixed"));
        // A file for all nodes may contain parameters that only others have.
        let warned = refused("/**:\n  ros__parameters: {checkpoint: a, use_sim_time: true}\n", &[]).unwrap();
        assert_eq!(warned.len(), 1);
        let (of_others, _file) = given("/**:\n  ros__parameters: {instruction: a}\n", &[]);
        assert_eq!(of_others.require_known(&["instructions"]).unwrap().len(), 1);
    }
}
