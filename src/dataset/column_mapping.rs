//! Maps the values of a contract to the values of a dataset column, by name and in any order.

use std::fmt;

use super::feature::Feature;

/// Positions of a contract's values in the rows of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnMapping {
    /// Position of each value in a row, in the contract's order.
    pub places: Vec<usize>,
    /// Name of each value in the contract, and in the column if the column names its values.
    named: Vec<(String, Option<String>)>,
}

impl ColumnMapping {
    /// Finds the values with these names, ignoring case. A column without names must have the values in this order.
    ///
    /// # Errors
    /// When a name is missing or occurs twice, names are not understood, or a column without names has another number of
    /// values.
    pub fn find(feature: &Feature, wanted: &[&str]) -> Result<Self, String> {
        let expected = || format!("expected the values {}", wanted.join(", "));
        let names = feature.own_names();
        let Some(names) = names.map_err(|problem| format!("{}; {problem}", expected()))? else {
            if feature.len() != wanted.len() {
                return Err(format!("{}, found {} without names", expected(), feature.len()));
            }
            return Ok(Self {
                places: (0..wanted.len()).collect(),
                named: wanted.iter().map(|name| ((*name).to_owned(), None)).collect(),
            });
        };
        let (mut places, mut named) = (Vec::new(), Vec::new());
        for name in wanted {
            let mut found = (0..).zip(&names).filter(|(_, own)| own.eq_ignore_ascii_case(name));
            let (place, own) = match (found.next(), found.next()) {
                (Some(found), None) => found,
                (None, _) => {
                    let found = names.join(", ");
                    let rename = "rename them in meta/info.json if they mean the same";
                    return Err(format!("{}, found {found} and no {name}; {rename}", expected()));
                }
                _ => return Err(format!("{name} is there more than once")),
            };
            places.push(place);
            named.push(((*name).to_owned(), Some(own.clone())));
        }
        Ok(Self { places, named })
    }

    /// Returns whether the column names its values.
    pub fn is_named(&self) -> bool {
        self.named.iter().all(|(_, own)| own.is_some())
    }
}

/// Lists the values, each with its name and position in the column.
impl fmt::Display for ColumnMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (place, (name, own))) in self.places.iter().zip(&self.named).enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            match own {
                Some(own) => write!(f, "{separator}{name} = {own} [{place}]")?,
                None => write!(f, "{separator}{name} = [{place}]")?,
            }
        }
        match self.is_named() {
            true => Ok(()),
            false => write!(f, ", by their order: the column does not name them"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(names: &serde_json::Value, length: usize) -> Feature {
        serde_json::from_value(serde_json::json!({"dtype": "float32", "shape": [length], "names": names})).unwrap()
    }

    #[test]
    fn a_name_of_the_whole_vector_names_none_of_its_values() {
        for names in [
            serde_json::json!(["actions"]),
            serde_json::json!({"motors": ["actions"]}),
        ] {
            let mapping = ColumnMapping::find(&column(&names, 2), &["x", "y"]).unwrap();
            assert_eq!(mapping.places, [0, 1]);
            assert!(mapping.to_string().ends_with("does not name them"), "{mapping}");
        }
        let one = column(&serde_json::json!(["speed"]), 1);
        assert!(ColumnMapping::find(&one, &["x"]).is_err());
    }

    #[test]
    fn values_are_found_by_their_names_or_else_taken_in_their_order() {
        let named = column(&serde_json::json!(["gripper", "X", "y"]), 3);
        let mapping = ColumnMapping::find(&named, &["x", "gripper"]).unwrap();
        assert_eq!(mapping.places, [1, 0]);
        assert_eq!(mapping.to_string(), "x = X [1], gripper = gripper [0]");
        let plain = column(&serde_json::Value::Null, 2);
        let mapping = ColumnMapping::find(&plain, &["x", "y"]).unwrap();
        assert_eq!((mapping.places.as_slice(), mapping.is_named()), (&[0, 1][..], false));
        assert!(mapping.to_string().starts_with("x = [0], y = [1], by their order"));
    }

    #[test]
    fn what_is_missing_or_there_twice_is_named() {
        let named = column(&serde_json::json!(["x", "x", "z"]), 3);
        for (wanted, problem) in [(["x", "z"], "x is there more than once"), (["y", "z"], "and no y")] {
            let said = ColumnMapping::find(&named, &wanted).unwrap_err();
            assert!(said.contains(problem), "{said}");
        }
        let fewer = column(&serde_json::json!(["x", "y"]), 3);
        let said = ColumnMapping::find(&fewer, &["x", "y", "z"]).unwrap_err();
        assert!(said.contains("expected 3 names") && said.contains("found 2"), "{said}");
        let plain = column(&serde_json::Value::Null, 3);
        let said = ColumnMapping::find(&plain, &["x", "y"]).unwrap_err();
        assert!(said.contains("found 3 without names"), "{said}");
    }
}
