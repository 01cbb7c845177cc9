//! Computes the geometry of the charts. The templates draw them, and style sheets set the colours.

mod timeline;
mod treemap;

use crate::templates::for_templates;
pub(crate) use timeline::{Sparkline, Timeline};
pub(crate) use treemap::{Tile, Treemap};

for_templates!(Timeline, Treemap);

/// A coordinate, rounded to one decimal.
fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The colour class of a share: one of five, or a sixth for no share.
pub(crate) fn shade(share: Option<f64>) -> &'static str {
    match share {
        None => "none",
        Some(share) if share < 0.2 => "s0",
        Some(share) if share < 0.4 => "s1",
        Some(share) if share < 0.6 => "s2",
        Some(share) if share < 0.8 => "s3",
        Some(_) => "s4",
    }
}
