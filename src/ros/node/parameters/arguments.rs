//! Arguments of a node's process: ROS arguments are checked here, because rcl silently ignores unknown ones.

use std::path::Path;

use strsim::levenshtein;

use super::error::ParameterError;

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Nothing.
    None,
    /// A text.
    Text,
    /// `NAME:=VALUE`.
    Assignment,
    /// A parameter file.
    ParameterFile,
}

/// Flags that rcl knows after `--ros-args` (`rcl/src/rcl/arguments.c` of ROS 2 Jazzy).
const FLAGS: [(&str, Value); 17] = [
    ("-p", Value::Assignment),
    ("--param", Value::Assignment),
    ("--params-file", Value::ParameterFile),
    ("-r", Value::Assignment),
    ("--remap", Value::Assignment),
    ("-e", Value::Text),
    ("--enclave", Value::Text),
    ("--log-level", Value::Text),
    ("--log-config-file", Value::Text),
    ("--log-file-name", Value::Text),
    ("--enable-rosout-logs", Value::None),
    ("--disable-rosout-logs", Value::None),
    ("--enable-stdout-logs", Value::None),
    ("--disable-stdout-logs", Value::None),
    ("--enable-external-lib-logs", Value::None),
    ("--disable-external-lib-logs", Value::None),
    ("--ros-args", Value::None),
];

/// Refuses arguments that are not ROS arguments, and ROS arguments that rcl does not know or that lack their value: a
/// node would silently run without them.
///
/// # Errors
/// Names the first such argument; for an unknown flag, the nearest known one.
pub fn require_ros_only(arguments: &[String]) -> Result<(), ParameterError> {
    let (sections, others) = partition(arguments);
    if let Some(other) = others.first() {
        return Err(ParameterError::NotForRos((*other).to_owned()));
    }
    sections.into_iter().try_for_each(require_known)
}

/// Checks the flags and values between `--ros-args` and `--` or the end.
fn require_known(section: Vec<&str>) -> Result<(), ParameterError> {
    let mut left = section.into_iter();
    while let Some(flag) = left.next() {
        let Some((_, takes)) = FLAGS.iter().find(|(known, _)| *known == flag) else {
            return Err(unknown(flag));
        };
        match takes {
            Value::None => {}
            Value::Text => {
                left.next().ok_or_else(|| ParameterError::NoValue(flag.to_owned()))?;
            }
            Value::Assignment => {
                let value = left.next();
                let assigned = value.and_then(|value| value.split_once(":="));
                if assigned.is_none_or(|(name, _)| name.is_empty()) {
                    return Err(ParameterError::NoAssignment {
                        flag: flag.to_owned(),
                        found: value.unwrap_or("none").to_owned(),
                    });
                }
            }
            Value::ParameterFile => {
                let path = left.next().ok_or_else(|| ParameterError::NoPath(flag.to_owned()))?;
                if !Path::new(path).exists() {
                    return Err(ParameterError::NoFile {
                        flag: flag.to_owned(),
                        path: path.to_owned(),
                    });
                }
            }
        }
    }
    Ok(())
}

/// Returns the error of an argument that is no flag of ROS.
fn unknown(argument: &str) -> ParameterError {
    let argument = argument.to_owned();
    if argument.contains(":=") && !argument.starts_with('-') {
        return ParameterError::NoFlag(argument);
    }
    let nearest = FLAGS.iter().min_by_key(|(known, _)| levenshtein(known, &argument));
    let nearest = nearest.map_or("-p", |(known, _)| *known);
    ParameterError::UnknownFlag { argument, nearest }
}

/// Splits the arguments after the program's name into the sections between `--ros-args` and `--` or the end, and all
/// others.
pub(super) fn partition(arguments: &[String]) -> (Vec<Vec<&str>>, Vec<&str>) {
    let mut in_ros = false;
    let (mut sections, mut others) = (Vec::<Vec<&str>>::new(), Vec::new());
    for argument in arguments.iter().skip(1).map(String::as_str) {
        match (argument, in_ros) {
            ("--ros-args", false) => {
                in_ros = true;
                sections.push(Vec::new());
            }
            ("--", true) => in_ros = false,
            (_, true) => sections
                .last_mut()
                .into_iter()
                .for_each(|section| section.push(argument)),
            (_, false) => others.push(argument),
        }
    }
    (sections, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str]) -> Result<(), String> {
        let all = ["arm_node"].iter().chain(arguments);
        require_ros_only(&all.map(|argument| (*argument).to_owned()).collect::<Vec<_>>()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_no_ros_argument_is_refused() {
        assert_eq!(check(&["--ros-args", "-p", "dry_run:=true", "--"]), Ok(()));
        assert!(check(&["--dry-run"]).unwrap_err().contains("--dry-run"));
        assert!(
            check(&["--ros-args", "-p", "a:=1", "--", "more"])
                .unwrap_err()
                .contains("more")
        );
    }

    #[test]
    fn all_that_ros_knows_is_taken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display().to_string();
        for (flag, takes) in FLAGS {
            let value = match takes {
                Value::None => vec![],
                Value::Text => vec!["info"],
                Value::Assignment => vec!["a:=b"],
                Value::ParameterFile => vec![path.as_str()],
            };
            let arguments = [
                vec!["--ros-args", flag],
                value,
                vec!["--", "--ros-args", "-p", "instruction:="],
            ];
            assert_eq!(check(&arguments.concat()), Ok(()), "{flag}");
        }
    }

    #[test]
    fn flags_that_ros_does_not_know_are_refused_with_the_nearest() {
        for (arguments, part) in [
            (
                &["--param-file", "ok.yaml"][..],
                "argument --param-file: expected a flag that ROS has",
            ),
            (&["--param-file", "ok.yaml"], "the nearest is --params-file"),
            (
                &["-p", "a:=1", "--disable-rosout-log"],
                "the nearest is --disable-rosout-logs",
            ),
            (&["--bogus"], "argument --bogus: expected a flag that ROS has"),
            (&["--log-level=debug"], "the nearest is --log-level"),
            (&["dry_run:=false"], "write -p dry_run:=false"),
            (&["-p", "a:=1", "b"], "argument b: "),
        ] {
            let found = check(&[&["--ros-args"][..], arguments].concat()).unwrap_err();
            assert!(found.contains(part), "{found}");
        }
    }

    #[test]
    fn flags_without_their_value_are_refused() {
        for (arguments, part) in [
            (
                &["-p"][..],
                "argument -p: expected NAME:=VALUE after it, without spaces, found none",
            ),
            (&["-p", "dry_run"], "found dry_run"),
            (&["-p", "dry_run=true"], "found dry_run=true"),
            (&["-r", ":=b"], "found :=b"),
            (&["-p", "--", "--ros-args", "a:=1"], "found none"),
            (&["--log-level"], "argument --log-level: expected a value after it"),
            (
                &["--params-file"],
                "expected the path of a parameter file after it, found none",
            ),
            (
                &["--params-file", "/none"],
                "argument --params-file /none: expected a parameter file, found none there",
            ),
        ] {
            let found = check(&[&["--ros-args"][..], arguments].concat()).unwrap_err();
            assert!(found.contains(part), "{found}");
        }
    }
}
