//! Draws the training curves of a run.

use std::path::Path;

use crate::figures::{Figure, FigureError, Lines, Panel, PointMark, Series, colour};

use super::metrics::Scalars;

/// File name of the image in the directory of a run.
pub const CURVES: &str = "training.png";

/// Maximum number of points of a curve.
const POINTS: usize = 400;

/// Name of a curve, and its value at a step.
type Curve = (&'static str, fn(&Scalars) -> Option<f64>);

/// Panel with some curves.
struct CurvePanel {
    title: &'static str,
    /// Label of the vertical axis.
    y: &'static str,
    curves: &'static [Curve],
}

const PANELS: [CurvePanel; 8] = [
    CurvePanel {
        title: "Action error",
        y: "L1, normalised",
        curves: &[
            ("trained", |s| s.action),
            ("held out", |s| s.held_out),
            ("held out, other pictures", |s| s.held_out_shuffled),
            ("best constant", |s| s.held_out_constant),
        ],
    },
    CurvePanel {
        title: "Latents",
        y: "loss",
        curves: &[("geometry", |s| s.geometry), ("reasoning", |s| s.reasoning)],
    },
    CurvePanel {
        title: "Answers",
        y: "cross-entropy",
        curves: &[("trained", |s| s.text), ("held out", |s| s.held_out_text)],
    },
    CurvePanel {
        title: "Teacher and student",
        y: "before the adapter",
        curves: &[
            ("cosine", |s| s.cosine),
            ("variance of teacher", |s| s.teacher_variance),
        ],
    },
    CurvePanel {
        title: "Similarity of the two streams",
        y: "overlap of gradients",
        curves: &[
            ("similarity", |s| s.similarity.map(|of| of.similarity)),
            ("by chance", |s| s.similarity.map(|of| of.chance)),
        ],
    },
    CurvePanel {
        title: "Gradients before clipping",
        y: "norm",
        curves: &[("all", |s| Some(s.gradient_norm))],
    },
    CurvePanel {
        title: "Learning rates",
        y: "rate",
        curves: &[
            ("base", |s| Some(s.learning_rates[0])),
            ("qwen_vl_interface", |s| Some(s.learning_rates[1])),
            ("action_model", |s| Some(s.learning_rates[2])),
        ],
    },
    CurvePanel {
        title: "Time of a step",
        y: "time [s]",
        curves: &[
            ("step", |s| Some(s.seconds)),
            ("waiting for data", |s| Some(s.data_wait_s)),
        ],
    },
];

/// Draws the curves of all steps of a run to the PNG file `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(steps: &[Scalars], path: &Path) -> Result<(), FigureError> {
    let panels = PANELS.map(|CurvePanel { title, y, curves }| {
        let series = curves.iter().enumerate().map(|(number, (name, value))| Series {
            name: Some((*name).into()),
            points: thinned(steps, *value),
            colour: colour(number),
            opacity: 1.0,
            mark: PointMark::Line(2),
        });
        Panel::Lines(Lines {
            title: title.into(),
            x: "step".into(),
            y: y.into(),
            series: series.filter(|series| !series.points.is_empty()).collect(),
            include_y: Some([0.0, 0.0]),
            ..Lines::default()
        })
    });
    Figure::new("training", 3, panels.into()).save(path)
}

/// Averages over consecutive steps, so that there are at most `POINTS` points.
fn thinned(steps: &[Scalars], value: fn(&Scalars) -> Option<f64>) -> Vec<[f64; 2]> {
    let all: Vec<[f64; 2]> = steps.iter().filter_map(|s| Some([s.step as f64, value(s)?])).collect();
    let together = all.len().div_ceil(POINTS).max(1);
    let mean = |part: &[[f64; 2]]| {
        let [x, y] = part.iter().fold([0.0, 0.0], |[a, b], [x, y]| [a + x, b + y]);
        [x / part.len() as f64, y / part.len() as f64]
    };
    all.chunks(together).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_steps_become_a_few_hundred_means() {
        let steps: Vec<Scalars> = (1..=1000)
            .map(|step| Scalars {
                step,
                action: Some(step as f64),
                held_out: (step % 500 == 0).then_some(0.5),
                ..Scalars::default()
            })
            .collect();
        let points = thinned(&steps, |s| s.action);
        assert_eq!(points.len(), 334);
        assert_eq!(points[0], [2.0, 2.0]);
        assert_eq!(thinned(&steps, |s| s.held_out), [[500.0, 0.5], [1000.0, 0.5]]);
    }

    #[test]
    fn a_run_without_a_teacher_is_drawn_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CURVES);
        draw(&[Scalars::default()], &path).unwrap();
        assert!(std::fs::read(&path).unwrap().starts_with(b"\x89PNG"));
    }
}
