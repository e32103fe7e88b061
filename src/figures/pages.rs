//! Figures that show a dataset.

use std::path::{Path, PathBuf};

use super::figure::{Figure, FigureError};
use super::panel::{Histogram, Lines, Panel, PointMark, Series, colour};
use super::sheet;
use crate::control::tool_rotation::TURN_FROM_DOWN;
use crate::dataset::parquet::columns::{self, ColumnError};
use crate::dataset::parquet::table;
use crate::dataset::reader::data_path;
use crate::dataset::schema::{ACTION, STATE};
use crate::dataset::{Dataset, DatasetError};
use crate::figures::contact_sheet::SheetError;

/// Error of plotting a dataset.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The dataset could not be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A figure could not be drawn or written.
    #[error(transparent)]
    Figure(#[from] FigureError),
    /// A contact sheet could not be made.
    #[error(transparent)]
    Sheet(#[from] SheetError),
    /// The dataset has no episodes.
    #[error("{0}: expected at least one episode, found none; record one first")]
    Empty(PathBuf),
}

/// Maximum number of values of a row that get a panel each.
const MOST_VALUES: usize = 32;

/// Writes `trajectories.png`, a figure of each column of actions, `timing.png`, and a contact sheet of each camera into
/// `out`; returns their paths.
///
/// # Errors
/// When the dataset is empty or cannot be read, or a file cannot be written.
pub fn plot_dataset(dataset: &Dataset, out: &Path) -> Result<Vec<PathBuf>, PlotError> {
    if dataset.episodes().is_empty() {
        return Err(PlotError::Empty(dataset.root().to_owned()));
    }
    let mut paths = Vec::new();
    let mut save = |name: String, figure: Option<Figure>| {
        let Some(figure) = figure else { return Ok(()) };
        let path = out.join(name);
        figure.save(&path)?;
        paths.push(path);
        Ok::<_, PlotError>(())
    };
    save("trajectories.png".into(), trajectories(dataset)?)?;
    for (name, _) in dataset.info().vectors() {
        if name.starts_with(ACTION) {
            save(format!("{}.png", name.replace('.', "_")), actions(dataset, name)?)?;
        }
    }
    save("timing.png".into(), Some(timing(dataset)?))?;
    paths.extend(sheet::save(dataset, out)?);
    Ok(paths)
}

fn title(dataset: &Dataset, what: &str) -> String {
    let name = dataset
        .root()
        .file_name()
        .map_or("dataset".into(), |name| name.to_string_lossy());
    format!(
        "{name}: {what} of {} episodes, {} frames",
        dataset.episodes().len(),
        dataset.frames()
    )
}

/// Opacity of lines, lower where many overlap.
fn opacity(lines: usize) -> f64 {
    (6.0 / lines.max(1) as f64).sqrt().clamp(0.15, 0.9)
}

/// Values `indices` of each row of a column, one list per episode.
fn by_episode(dataset: &Dataset, name: &str, indices: [usize; 2]) -> Result<Vec<Vec<[f64; 2]>>, DatasetError> {
    let dim = dataset
        .info()
        .features
        .get(name)
        .map_or(1, |feature| feature.len())
        .max(1);
    let values = dataset.vector(name)?;
    let pick = |row: &[f32], index: usize| row.get(index).map_or(f64::NAN, |value| f64::from(*value));
    let rows = |episode: &crate::dataset::episodes::Episode| {
        let rows = values
            .get(episode.from * dim..(episode.from + episode.length) * dim)
            .unwrap_or_default();
        rows.chunks_exact(dim)
            .map(|row| indices.map(|index| pick(row, index)))
            .collect()
    };
    Ok(dataset.episodes().iter().map(rows).collect())
}

/// Unit of a value by its name in recordings of arms; empty if unknown.
fn unit(name: &str) -> &'static str {
    match name {
        "x" | "y" | "z" | "dx" | "dy" | "dz" => " [m]",
        "rx" | "ry" | "rz" | "drx" | "dry" | "drz" => " [rad]",
        _ if name.starts_with("joint") || TURN_FROM_DOWN.contains(&name) => " [rad]",
        _ => "",
    }
}

/// Points of a value over time (s). A rotation vector jumps to its opposite where the angle passes half a turn: lines
/// break there.
fn over_time(values: &[[f64; 2]], fps: f64, turns: bool) -> Vec<[f64; 2]> {
    let mut points = Vec::with_capacity(values.len());
    let mut last = f64::NAN;
    for (row, [value, _]) in values.iter().enumerate() {
        if turns && (value - last).abs() > 1.0 {
            points.push([f64::NAN; 2]);
        }
        points.push([row as f64 / fps, *value]);
        last = *value;
    }
    points
}

/// Draws the paths of the tool from above and from the side, and every value of the state over time.
fn trajectories(dataset: &Dataset) -> Result<Option<Figure>, PlotError> {
    let Some(state) = dataset.info().features.get(STATE).filter(|state| state.is_vector()) else {
        return Ok(None);
    };
    let names = state.value_names();
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let mut panels = Vec::new();
    if let (Some(x), Some(y), Some(z)) = (place("x"), place("y"), place("z")) {
        panels.push(path(dataset, "Tool from above", [("x", x), ("y", y)])?);
        panels.push(path(dataset, "Tool from the side", [("x", x), ("z", z)])?);
    }
    let fps = dataset.info().fps;
    for (index, name) in names.iter().enumerate().take(MOST_VALUES) {
        let lines = by_episode(dataset, STATE, [index, index])?;
        let opacity = opacity(lines.len());
        let turns = matches!(name.as_str(), "rx" | "ry" | "rz") || TURN_FROM_DOWN.contains(&name.as_str());
        let over_time = |points: Vec<[f64; 2]>| over_time(&points, fps, turns);
        let series = lines.into_iter().enumerate().map(|(episode, points)| Series {
            name: None,
            points: over_time(points),
            colour: colour(episode),
            opacity,
            mark: PointMark::Line(1),
        });
        panels.push(Panel::Lines(Lines {
            title: name.clone(),
            x: "time [s]".into(),
            y: format!("{name}{}", unit(name)),
            series: series.collect(),
            ..Lines::default()
        }));
    }
    Ok(Some(Figure::new(title(dataset, "trajectories"), 4, panels)))
}

fn path(dataset: &Dataset, title: &str, axes: [(&str, usize); 2]) -> Result<Panel, PlotError> {
    let lines = by_episode(dataset, STATE, axes.map(|(_, index)| index))?;
    let opacity = opacity(lines.len());
    let ends = |end: fn(&[[f64; 2]]) -> Option<&[f64; 2]>| lines.iter().filter_map(|line| end(line)).copied().collect();
    let dots = |name: &str, points, index| Series {
        name: Some(name.into()),
        points,
        colour: colour(index),
        opacity: 0.9,
        mark: PointMark::Dot(3),
    };
    let (starts, stops) = (dots("start", ends(<[_]>::first), 2), dots("end", ends(<[_]>::last), 1));
    let paths = lines.iter().map(|points| Series {
        name: None,
        points: points.clone(),
        colour: colour(0),
        opacity,
        mark: PointMark::Line(1),
    });
    Ok(Panel::Lines(Lines {
        title: title.into(),
        x: format!("{} [m]", axes[0].0),
        y: format!("{} [m]", axes[1].0),
        series: paths.chain([starts, stops]).collect(),
        equal_axes: true,
        include_y: None,
    }))
}

/// Draws a histogram of each value of a column.
fn actions(dataset: &Dataset, column: &str) -> Result<Option<Figure>, PlotError> {
    let Some(feature) = dataset.info().features.get(column) else {
        return Ok(None);
    };
    let dim = feature.len().max(1);
    let values = dataset.vector(column)?;
    let panels = feature
        .value_names()
        .into_iter()
        .enumerate()
        .take(MOST_VALUES)
        .map(|(index, name)| {
            let values = values.iter().skip(index).step_by(dim).map(|value| f64::from(*value));
            Panel::Histogram(Histogram {
                x: format!("{name}{}", unit(&name)),
                title: name,
                y: "frames".into(),
                values: values.collect(),
                bins: 60,
                colour: Some(colour(index)),
                log_counts: true,
            })
        });
    Ok(Some(Figure::new(title(dataset, column), 4, panels.collect())))
}

/// Draws the intervals between frames and the lengths of episodes.
fn timing(dataset: &Dataset) -> Result<Figure, PlotError> {
    let (fps, episodes) = (dataset.info().fps, dataset.episodes());
    let stamps = stamps(dataset)?;
    let mut intervals = Vec::with_capacity(stamps.len());
    for episode in episodes {
        let rows = stamps
            .get(episode.from..episode.from + episode.length)
            .unwrap_or_default();
        intervals.extend(
            rows.windows(2)
                .filter_map(|pair| Some(1e3 * (pair.last()? - pair.first()?))),
        );
    }
    let seconds: Vec<f64> = episodes.iter().map(|episode| episode.length as f64 / fps).collect();
    let each = seconds
        .iter()
        .enumerate()
        .map(|(i, seconds)| [i as f64, *seconds])
        .collect();
    let lengths = Lines {
        title: "Length of each episode".into(),
        x: "episode".into(),
        y: "length [s]".into(),
        series: vec![Series {
            name: None,
            points: each,
            colour: colour(0),
            opacity: 0.9,
            mark: PointMark::Dot(3),
        }],
        include_y: Some([0.0, 0.0]),
        ..Lines::default()
    };
    let histogram = |title: &str, x: &str, y: &str, values| {
        Panel::Histogram(Histogram {
            title: title.into(),
            x: x.into(),
            y: y.into(),
            values,
            bins: 40,
            colour: None,
            log_counts: false,
        })
    };
    let panels = vec![
        histogram(
            &format!("Frame intervals, {} ms expected", (1e4 / fps).round() / 10.0),
            "interval [ms]",
            "frames",
            intervals,
        ),
        histogram("Lengths of episodes", "length [s]", "episodes", seconds),
        Panel::Lines(lengths),
    ];
    Ok(Figure::new(title(dataset, "timing"), 3, panels))
}

/// Reads the time of each row within its episode (s).
fn stamps(dataset: &Dataset) -> Result<Vec<f64>, DatasetError> {
    let mut stamps = Vec::with_capacity(dataset.frames());
    let mut last = None;
    for episode in dataset.episodes() {
        if last.replace(episode.data) == Some(episode.data) {
            continue;
        }
        let path = data_path(dataset.root(), dataset.info(), episode)?;
        let content = |problem: ColumnError| DatasetError::content(&path, problem);
        for batch in table::read(&path, &["timestamp"])? {
            let column = columns::column(&batch, "timestamp").map_err(content)?;
            stamps.extend(
                columns::numbers(&column, "timestamp", 1, 0)
                    .map_err(content)?
                    .into_iter()
                    .map(f64::from),
            );
        }
    }
    Ok(stamps)
}
