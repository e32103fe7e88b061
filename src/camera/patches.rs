//! Patches as the vision tower takes them.

/// Patches of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Patches {
    /// Rows of channels x frames x side x side values, in merge-block order.
    pub pixel_values: Vec<f32>,
    /// How many.
    pub grid: Grid,
}

/// Frames, rows and columns of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Frames.
    pub t: u32,
    /// Rows.
    pub h: u32,
    /// Columns.
    pub w: u32,
}
