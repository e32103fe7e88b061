//! Pictures of a dataset for a person: do the trajectories, the actions and the timing look right?
//!
//! [`Figure`], [`Panel`] and [`Series`] know nothing of datasets.

mod canvas;
mod figure;
mod pages;
mod panel;
mod sheet;

pub use figure::{Figure, FigureError};
pub use pages::{PlotError, plot_dataset};
pub use panel::{Histogram, Lines, Mark, PALETTE, Panel, Series, colour};
