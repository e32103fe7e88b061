//! Figures of a dataset for visual inspection of its trajectories, actions and timing.
//!
//! [`Figure`], [`Panel`] and [`Series`] do not depend on datasets.

mod canvas;
mod figure;
mod pages;
mod panel;
mod sheet;

pub use figure::{Figure, FigureError};
pub use pages::{PlotError, plot_dataset};
pub use panel::{Histogram, Lines, Mark, PALETTE, Panel, Series, colour};
