//! Figures: contact sheets, plots, and pages that show a dataset's trajectories, actions and timing.
//!
//! [`Figure`], [`Panel`] and [`Series`] do not depend on datasets.

mod canvas;
pub(crate) mod captions;
pub mod contact_sheet;
mod figure;
mod font;
mod pages;
mod panel;
mod sheet;

pub use figure::{Figure, FigureError};
pub use pages::{PlotError, plot_dataset};
pub use panel::{Histogram, Lines, PALETTE, Panel, PointMark, Series, colour};
