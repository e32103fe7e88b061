//! Differences between tensors, and a table of them.

use std::fmt;

use tch::{Kind, TchError, Tensor};

/// Tolerances of floating-point tensors; integers must always be equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParityTolerance {
    /// Largest absolute deviation of a value.
    pub deviation: Option<f64>,
    /// Smallest cosine between the two flattened tensors.
    pub cosine: Option<f64>,
}

/// One expected tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct ParityRow {
    /// Key.
    pub name: String,
    /// Shape in the case.
    pub shape: Vec<i64>,
    /// Result of the comparison.
    pub finding: Finding,
}

/// Result of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Floating-point values.
    Values {
        /// Largest absolute deviation; NaN where any value is NaN.
        deviation: f64,
        /// Cosine between the two flattened tensors; 1 where both are zero or empty.
        cosine: f64,
    },
    /// Integers.
    Numbers {
        /// Number of values that differ.
        differing: i64,
    },
    /// Our tensor has another shape.
    Shape {
        /// Shape of our tensor.
        found: Vec<i64>,
    },
}

impl Finding {
    /// Compares floating-point tensors in 64 bits.
    ///
    /// # Shapes
    /// any, the same for both
    pub fn of_values(ours: &Tensor, expected: &Tensor) -> Result<Self, TchError> {
        if ours.size() != expected.size() {
            return Ok(Self::Shape { found: ours.size() });
        }
        if ours.numel() == 0 {
            return Ok(Self::Values {
                deviation: 0.0,
                cosine: 1.0,
            });
        }
        let wide = |x: &Tensor| {
            x.f_to_device(tch::Device::Cpu)?
                .f_to_kind(Kind::Double)?
                .f_flatten(0, -1)
        };
        let (a, b) = (wide(ours)?, wide(expected)?);
        let number = |x: Tensor| x.f_double_value(&[]);
        let lengths = number(a.f_norm()?)? * number(b.f_norm()?)?;
        let cosine = match lengths {
            0.0 if a.f_equal(&b)? => 1.0,
            0.0 => 0.0,
            lengths => number(a.f_dot(&b)?)? / lengths,
        };
        Ok(Self::Values {
            deviation: number(a.f_sub(&b)?.f_abs()?.f_max()?)?,
            cosine,
        })
    }

    /// Compares integers.
    ///
    /// # Shapes
    /// any, the same for both
    pub fn of_numbers(ours: &Tensor, expected: &Tensor) -> Result<Self, TchError> {
        if ours.size() != expected.size() {
            return Ok(Self::Shape { found: ours.size() });
        }
        let differing = ours.f_ne_tensor(expected)?.f_sum(Kind::Int64)?;
        Ok(Self::Numbers {
            differing: differing.f_int64_value(&[])?,
        })
    }

    /// Reports whether the result is within the tolerances.
    pub fn meets(&self, tolerance: ParityTolerance) -> bool {
        match self {
            // Written such that NaN never passes.
            Self::Values { deviation, cosine } => {
                deviation.is_finite()
                    && tolerance.deviation.is_none_or(|largest| *deviation <= largest)
                    && tolerance.cosine.is_none_or(|smallest| *cosine >= smallest)
            }
            Self::Numbers { differing } => *differing == 0,
            Self::Shape { .. } => false,
        }
    }
}

/// Results for all expected tensors of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct ParityReport {
    /// One row per tensor, in the order of comparison.
    pub rows: Vec<ParityRow>,
    /// Tolerances.
    pub tolerance: ParityTolerance,
}

impl ParityReport {
    /// Reports whether every tensor passes; an empty report does not.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.finding.meets(self.tolerance))
    }
}

impl fmt::Display for ParityReport {
    /// Writes a table with a line for each tensor and one for the tolerances.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<[String; 5]> = self.rows.iter().map(|row| cells(row, self.tolerance)).collect();
        let header = ["tensor", "shape", "deviation", "cosine", ""].map(str::to_owned);
        let width = |column: usize| {
            let of = |line: &[String; 5]| line.get(column).map_or(0, |cell| cell.chars().count());
            lines.iter().chain([&header]).map(of).max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2), width(3)];
        for line in [&header].into_iter().chain(&lines) {
            let [tensor, shape, deviation, cosine, verdict] = line;
            let [first, second, third, fourth] = widths;
            let text = format!("{tensor:first$}  {shape:second$}  {deviation:>third$}  {cosine:>fourth$}  {verdict}");
            writeln!(f, "{}", text.trim_end())?;
        }
        let good = self.rows.iter().filter(|row| row.finding.meets(self.tolerance)).count();
        write!(f, "{good} of {} tensors {}", self.rows.len(), self.tolerance)
    }
}

impl fmt::Display for ParityTolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.deviation, self.cosine) {
            (Some(deviation), Some(cosine)) => write!(f, "within {deviation:.1e} and of cosine {cosine} at least"),
            (Some(deviation), None) => write!(f, "within {deviation:.1e}"),
            (None, Some(cosine)) => write!(f, "of cosine {cosine} at least"),
            (None, None) => write!(f, "of finite values"),
        }
    }
}

fn cells(row: &ParityRow, tolerance: ParityTolerance) -> [String; 5] {
    let shape = |shape: &[i64]| {
        let sides: Vec<_> = shape.iter().map(i64::to_string).collect();
        sides.join("x")
    };
    let good = row.finding.meets(tolerance);
    let (deviation, cosine, verdict) = match &row.finding {
        Finding::Values { deviation, cosine } => (format!("{deviation:.2e}"), format!("{cosine:.6}"), String::new()),
        Finding::Numbers { differing: 0 } => ("equal".into(), "-".into(), String::new()),
        Finding::Numbers { differing } => (format!("{differing} differ"), "-".into(), String::new()),
        Finding::Shape { found } => ("-".into(), "-".into(), format!(": ours is {}", shape(found))),
    };
    let verdict = format!("{}{verdict}", if good { "ok" } else { "FAILS" });
    [row.name.clone(), shape(&row.shape), deviation, cosine, verdict]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: ParityTolerance = ParityTolerance {
        deviation: Some(1e-4),
        cosine: None,
    };

    fn row(name: &str, finding: Finding) -> ParityRow {
        ParityRow {
            name: name.into(),
            shape: vec![2, 3],
            finding,
        }
    }

    #[test]
    fn the_largest_deviation_counts_and_the_cosine_is_of_the_whole() {
        let ours = Tensor::from_slice(&[1.0f32, 0.0, 2.5]);
        let expected = Tensor::from_slice(&[1.0f32, 0.0, 2.0]);
        let Finding::Values { deviation, cosine } = Finding::of_values(&ours, &expected).unwrap() else {
            panic!("values expected");
        };
        assert_eq!(deviation, 0.5);
        assert!((cosine - 6.0 / (7.25f64 * 5.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_a_number_never_passes() {
        let ours = Tensor::from_slice(&[f32::NAN, 1.0]);
        let finding = Finding::of_values(&ours, &ours).unwrap();
        for tolerance in [
            CLOSE,
            ParityTolerance {
                deviation: None,
                cosine: None,
            },
        ] {
            assert!(!finding.meets(tolerance));
        }
    }

    #[test]
    fn nothing_compared_is_not_a_pass() {
        let report = ParityReport {
            rows: Vec::new(),
            tolerance: CLOSE,
        };
        assert!(!report.passed());
    }

    #[test]
    fn whole_numbers_must_be_equal_whatever_is_asked() {
        let (ours, expected) = (Tensor::from_slice(&[1i64, 2, 3]), Tensor::from_slice(&[1i64, 2, 4]));
        let finding = Finding::of_numbers(&ours, &expected).unwrap();
        assert_eq!(finding, Finding::Numbers { differing: 1 });
        let lax = ParityTolerance {
            deviation: Some(10.0),
            cosine: None,
        };
        assert!(!finding.meets(lax));
        assert!(Finding::of_numbers(&ours, &ours).unwrap().meets(lax));
    }

    #[test]
    fn zero_tensors_are_alike_only_if_both_are_zero() {
        let (zero, one) = (Tensor::from_slice(&[0.0f32]), Tensor::from_slice(&[1.0f32]));
        let tolerance = ParityTolerance {
            deviation: None,
            cosine: Some(0.999),
        };
        assert!(Finding::of_values(&zero, &zero).unwrap().meets(tolerance));
        assert!(!Finding::of_values(&zero, &one).unwrap().meets(tolerance));
    }

    #[test]
    fn the_table_says_which_tensor_fails_and_by_how_much() {
        let report = ParityReport {
            rows: vec![
                row("expected.input_ids", Finding::Numbers { differing: 0 }),
                row(
                    "expected.logits",
                    Finding::Values {
                        deviation: 2.5e-3,
                        cosine: 0.99999,
                    },
                ),
                row("expected.layer18", Finding::Shape { found: vec![4] }),
            ],
            tolerance: CLOSE,
        };
        insta::assert_snapshot!(report.to_string(), @r"
        tensor              shape  deviation    cosine
        expected.input_ids  2x3        equal         -  ok
        expected.logits     2x3      2.50e-3  0.999990  FAILS
        expected.layer18    2x3            -         -  FAILS: ours is 4
        1 of 3 tensors within 1.0e-4
        ");
    }
}
