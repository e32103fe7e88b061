//! Panels of a figure: lines over two axes, and histograms.

use std::convert::Infallible;
use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::element::{Circle, PathElement, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, RGBColor, ShapeStyle};

use super::canvas::Canvas;
use super::figure::text;

/// Colour of text and axes.
pub(super) const INK: RGBColor = RGBColor(45, 48, 54);
const GRID: RGBColor = RGBColor(228, 230, 234);

/// Colours that can be distinguished, also with most forms of colour blindness.
pub const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(110, 90, 200),
    RGBColor(90, 90, 90),
];

/// Returns colour `index` of the palette, cyclically.
pub fn colour(index: usize) -> RGBColor {
    PALETTE.get(index % PALETTE.len()).copied().unwrap_or(INK)
}

/// Part of a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Panel {
    /// Lines or dots.
    Lines(Lines),
    /// Histogram.
    Histogram(Histogram),
}

/// Lines or dots over two axes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lines {
    /// Title of the panel.
    pub title: String,
    /// Label of the horizontal axis, with its unit.
    pub x: String,
    /// Label of the vertical axis, with its unit.
    pub y: String,
    /// Lines and dots; later ones are drawn above.
    pub series: Vec<Series>,
    /// Whether both axes have the same scale, as paths need.
    pub equal_axes: bool,
    /// Values that the vertical axis includes.
    pub include_y: Option<[f64; 2]>,
}

/// Line or set of dots; points that are not finite interrupt a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend; `None` leaves it out.
    pub name: Option<String>,
    /// Points in the units of the axes.
    pub points: Vec<[f64; 2]>,
    /// Colour.
    pub colour: RGBColor,
    /// Opacity, from 0 (invisible) to 1.
    pub opacity: f64,
    /// Mark of the points.
    pub mark: PointMark,
}

/// Mark of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointMark {
    /// Line through the points, of this width (px).
    Line(u32),
    /// Dots of this radius (px).
    Dot(u32),
}

/// Histogram of values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Title of the panel.
    pub title: String,
    /// Label of the values, with their unit.
    pub x: String,
    /// Label of the counts, e.g. `frames`.
    pub y: String,
    /// Values; those that are not finite are left out, and their number is shown.
    pub values: Vec<f64>,
    /// Number of bins.
    pub bins: usize,
    /// Colour.
    pub colour: Option<RGBColor>,
    /// Whether counts have a logarithmic scale, so that rare values show beside frequent ones.
    pub log_counts: bool,
}

type Area<'a, 'b> = DrawingArea<Canvas<'a>, Shift>;
type Chart<'c, 'a> = ChartContext<'c, Canvas<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
/// Error of plotters.
pub(super) type Failure = DrawingAreaErrorKind<Infallible>;

/// Room for the labels of both axes (px).
const LEFT: u32 = 84;
const BELOW: u32 = 48;
const CAPTION: u32 = 30;
const MARGIN: u32 = 14;

impl Panel {
    pub(super) fn draw(&self, area: &Area<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::Lines(lines) => lines.draw(area),
            Self::Histogram(histogram) => histogram.draw(area),
        }
    }
}

/// Title, labels and ranges of a panel's axes.
struct Frame<'a> {
    title: &'a str,
    labels: [&'a str; 2],
    x: Range<f64>,
    y: Range<f64>,
    y_label: fn(f64) -> String,
}

fn framed<'a, 'c>(area: &'c Area<'a, '_>, frame: &Frame<'_>) -> Result<Chart<'c, 'a>, Failure> {
    let caption = text(16.0, true).pos(Pos::new(HPos::Center, VPos::Center));
    let (width, _) = area.dim_in_pixel();
    let middle = (
        i32::try_from(width + LEFT - MARGIN).unwrap_or(0) / 2,
        CAPTION as i32 / 2,
    );
    area.draw_text(frame.title, &caption, middle)?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(CAPTION)
        .margin_right(MARGIN + 8)
        .margin_bottom(4)
        .x_label_area_size(BELOW)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(frame.x.clone(), frame.y.clone())?;
    chart
        .configure_mesh()
        .light_line_style(GRID.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(16.0, false))
        .axis_desc_style(text(16.0, false))
        .x_desc(frame.labels[0])
        .y_desc(frame.labels[1])
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| (frame.y_label)(*value))
        .draw()?;
    Ok(chart)
}

/// Formats a number of an axis as short as possible.
fn number(value: f64) -> String {
    if value == 0.0 || value.abs() < 1e-9 {
        return "0".into();
    }
    if !(1e-4..1e6).contains(&value.abs()) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.5}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Range of all finite `values` with some margin; never empty.
fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if low > high {
        return 0.0..1.0;
    }
    let room = ((high - low) * 0.05).max(low.abs().max(high.abs()) * 1e-3).max(1e-6);
    low - room..high + room
}

impl Lines {
    fn ranges(&self, area: &Area<'_, '_>) -> (Range<f64>, Range<f64>) {
        let points = || {
            self.series
                .iter()
                .flat_map(|series| &series.points)
                .filter(|[x, y]| (x + y).is_finite())
        };
        let x = range(points().map(|[x, _]| *x));
        let y = range(points().map(|[_, y]| *y).chain(self.include_y.into_iter().flatten()));
        if !self.equal_axes {
            return (x, y);
        }
        let (width, height) = area.dim_in_pixel();
        let width = f64::from(width.saturating_sub(LEFT + MARGIN + 8).max(1));
        let height = f64::from(height.saturating_sub(BELOW + CAPTION + 4).max(1));
        let per_pixel = ((x.end - x.start) / width).max((y.end - y.start) / height);
        let widened = |range: Range<f64>, pixels: f64| {
            let (middle, half) = ((range.start + range.end) / 2.0, per_pixel * pixels / 2.0);
            middle - half..middle + half
        };
        (widened(x, width), widened(y, height))
    }

    fn draw(&self, area: &Area<'_, '_>) -> Result<(), Failure> {
        let (x, y) = self.ranges(area);
        let frame = Frame {
            title: &self.title,
            labels: [&self.x, &self.y],
            x,
            y,
            y_label: number,
        };
        let mut chart = framed(area, &frame)?;
        for series in &self.series {
            let finite = |[x, y]: &[f64; 2]| x.is_finite() && y.is_finite();
            let style = |width| ShapeStyle {
                color: series.colour.mix(series.opacity),
                filled: true,
                stroke_width: width,
            };
            match series.mark {
                PointMark::Line(width) => {
                    let runs = series.points.split(|point| !finite(point)).filter(|run| run.len() > 1);
                    let runs = runs.map(|run| run.iter().map(|[x, y]| (*x, *y)).collect::<Vec<_>>());
                    chart.draw_series(runs.map(|run| PathElement::new(run, style(width))))?;
                }
                PointMark::Dot(radius) => {
                    let points = series.points.iter().filter(|point| finite(point));
                    chart.draw_series(points.map(|[x, y]| Circle::new((*x, *y), radius, style(1))))?;
                }
            }
        }
        self.legend(area)
    }

    /// Draws names beside samples of their colours, in the upper right corner.
    fn legend(&self, area: &Area<'_, '_>) -> Result<(), Failure> {
        let named: Vec<_> = self
            .series
            .iter()
            .filter_map(|s| Some((s.name.as_ref()?, s.colour)))
            .collect();
        let Some(letters) = named.iter().map(|(name, _)| name.chars().count()).max() else {
            return Ok(());
        };
        let (width, _) = area.dim_in_pixel();
        let (box_width, line) = (letters as i32 * 8 + 44, 19);
        let right = width as i32 - (MARGIN + 14) as i32;
        let (left, top) = (right - box_width, CAPTION as i32 + 6);
        let corner = (right, top + line * named.len() as i32 + 8);
        let paper = RGBColor(255, 255, 255).mix(0.85).filled();
        area.draw(&Rectangle::new([(left, top), corner], paper))?;
        area.draw(&Rectangle::new([(left, top), corner], GRID.stroke_width(1)))?;
        for ((name, colour), top) in named.iter().zip((top + 4..).step_by(line as usize)) {
            let middle = top + line / 2;
            area.draw(&Rectangle::new(
                [(left + 8, middle - 2), (left + 28, middle + 1)],
                colour.filled(),
            ))?;
            let style = text(16.0, false).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw_text(name, &style, (left + 36, middle))?;
        }
        Ok(())
    }
}

impl Histogram {
    fn draw(&self, area: &Area<'_, '_>) -> Result<(), Failure> {
        let finite = || self.values.iter().copied().filter(|value| value.is_finite());
        let x = range(finite());
        let bins = self.bins.clamp(1, 1000);
        let width = (x.end - x.start) / bins as f64;
        let mut counts = vec![0_u64; bins];
        for value in finite() {
            let bin = (((value - x.start) / width) as usize).min(bins - 1);
            if let Some(count) = counts.get_mut(bin) {
                *count += 1;
            }
        }
        let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
        let height = |count: f64| if self.log_counts { count.log10() } else { count };
        // On a logarithmic scale a count of 1 has height 0, so bars begin below it.
        let floor = if self.log_counts { -0.2 } else { 0.0 };
        let frame = Frame {
            title: &self.title,
            labels: [&self.x, &self.y],
            x: x.clone(),
            y: floor..height(most * 1.08),
            y_label: if self.log_counts {
                |magnitude| format!("{:.0}", 10_f64.powf(magnitude))
            } else {
                number
            },
        };
        let mut chart = framed(area, &frame)?;
        let colour = self.colour.unwrap_or(PALETTE[0]);
        let bars = counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(bin, count)| {
                let left = x.start + bin as f64 * width;
                Rectangle::new(
                    [(left, floor), (left + width, height(*count as f64))],
                    colour.mix(0.85).filled(),
                )
            });
        chart.draw_series(bars)?;
        let missing = self.values.len() - finite().count();
        if missing > 0 {
            let style = text(16.0, false)
                .color(&PALETTE[1])
                .pos(Pos::new(HPos::Right, VPos::Top));
            let (width, _) = area.dim_in_pixel();
            let corner = (width as i32 - (MARGIN + 14) as i32, CAPTION as i32 + 4);
            area.draw_text(&format!("{missing} not finite"), &style, corner)?;
        }
        Ok(())
    }
}
