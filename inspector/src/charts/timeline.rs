//! The last hour: lookups per minute, and the hit ratio.

use std::fmt::Write as _;

use fragcache::stats::{MINUTES, Minute};
use serde::Serialize;

use super::round;
use crate::text;

/// A chart of an hour.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Timeline {
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    bottom: f64,
    bars: Vec<Bar>,
    /// Points of the hit ratio's lines, with gaps at minutes without a lookup.
    lines: Vec<String>,
    /// Single minutes between two without a lookup: x and y.
    dots: Vec<(f64, f64)>,
    grid: Vec<Grid>,
    marks: Vec<Mark>,
    /// A text description of the chart.
    label: String,
    /// The same data as a table: minutes with a lookup, the latest first.
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Serialize)]
struct Bar {
    x: f64,
    width: f64,
    served_y: f64,
    served_height: f64,
    missed_y: f64,
    missed_height: f64,
    title: String,
}

#[derive(Debug, Clone, Serialize)]
struct Grid {
    y: f64,
    lookups: String,
    share: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct Mark {
    x: f64,
    anchor: &'static str,
    text: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    ago: String,
    served: String,
    missed: String,
    ratio: String,
}

const TOP: f64 = 10.0;
const SIDE: f64 = 46.0;
const FOOT: f64 = 24.0;

#[allow(clippy::cast_precision_loss, reason = "coordinates")]
impl Timeline {
    pub(crate) fn new(minutes: &[Minute], width: f64, height: f64) -> Self {
        let most = nice(minutes.iter().map(|m| m.served + m.missed).max().unwrap_or(0));
        let (left, right, bottom) = (SIDE, width - SIDE, height - FOOT);
        let (tall, step) = (bottom - TOP, (right - left) / MINUTES as f64);
        let high = |lookups: u64| lookups as f64 / most as f64 * tall;
        let bars = minutes.iter().enumerate().filter(|(_, m)| m.served + m.missed > 0);
        let bars = bars.map(|(index, m)| {
            let (served, missed) = (high(m.served), high(m.missed));
            Bar {
                x: round(left + index as f64 * step + 0.5),
                width: round(step - 1.0),
                served_y: round(bottom - served),
                served_height: round(served),
                missed_y: round(bottom - served - missed),
                missed_height: round(missed),
                title: title(index, m),
            }
        });
        let points = minutes.iter().enumerate().map(|(index, m)| {
            let x = left + (index as f64 + 0.5) * step;
            m.hit_ratio().map(|ratio| (round(x), round(bottom - ratio * tall)))
        });
        let points: Vec<_> = points.collect();
        let runs = points.split(Option::is_none).map(|run| run.iter().flatten().copied());
        let runs: Vec<Vec<(f64, f64)>> = runs.map(Iterator::collect).collect();
        let grid = [(most, "100 %"), (most / 2, "50 %"), (0, "0 %")];
        let mark =
            |share: f64, anchor, text| Mark { x: left + share * (right - left), anchor, text };
        Self {
            width,
            height,
            left,
            right,
            bottom,
            bars: bars.collect(),
            lines: runs.iter().filter(|run| run.len() > 1).map(|run| line(run)).collect(),
            dots: runs.iter().filter(|run| run.len() == 1).flatten().copied().collect(),
            grid: grid
                .into_iter()
                .map(|(lookups, share)| Grid {
                    y: round(bottom - high(lookups)),
                    lookups: text::count(lookups),
                    share,
                })
                .collect(),
            marks: vec![
                mark(0.0, "start", "1 h ago"),
                mark(0.5, "middle", "30 min ago"),
                mark(1.0, "end", "now"),
            ],
            label: label(minutes),
            rows: rows(minutes),
        }
    }
}

fn line(points: &[(f64, f64)]) -> String {
    points.iter().fold(String::new(), |mut text, (x, y)| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{x},{y} ");
        text
    })
}

fn when(index: usize) -> String {
    match MINUTES - 1 - index {
        0 => "this minute".to_owned(),
        ago => format!("{ago} min ago"),
    }
}

fn title(index: usize, minute: &Minute) -> String {
    let (served, missed) = (text::count(minute.served), text::count(minute.missed));
    let ratio = minute.hit_ratio().map_or_else(|| "–".to_owned(), text::percent);
    format!("{}: {served} served, {missed} missed, {ratio}", when(index))
}

fn label(minutes: &[Minute]) -> String {
    let served: u64 = minutes.iter().map(|minute| minute.served).sum();
    let missed: u64 = minutes.iter().map(|minute| minute.missed).sum();
    format!(
        "Lookups in the last hour, minute by minute: {} served from the cache, {} missed",
        text::count(served),
        text::count(missed)
    )
}

fn rows(minutes: &[Minute]) -> Vec<Row> {
    let busy = minutes.iter().enumerate().rev().filter(|(_, m)| m.served + m.missed > 0);
    busy.map(|(index, minute)| Row {
        ago: when(index),
        served: text::count(minute.served),
        missed: text::count(minute.missed),
        ratio: minute.hit_ratio().map_or_else(|| "–".to_owned(), text::percent),
    })
    .collect()
}

/// The next even number with one significant digit, so that half of it is a whole number.
fn nice(most: u64) -> u64 {
    let mut step = 2_u64;
    while step.saturating_mul(10) <= most {
        step = step.saturating_mul(10);
    }
    most.div_ceil(step).max(1).saturating_mul(step)
}

/// Minutes per column of a small chart.
const TOGETHER: usize = 3;

/// An hour in a table cell: one column per three minutes, divided by the hit ratio.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sparkline {
    width: usize,
    served: String,
    missed: String,
    label: String,
}

impl Sparkline {
    /// Height of the chart.
    const HEIGHT: f64 = 20.0;

    pub(crate) fn new(minutes: &[Minute]) -> Self {
        let (mut served, mut missed) = (String::new(), String::new());
        for (index, minutes) in minutes.chunks(TOGETHER).enumerate() {
            let mut sum = Minute::default();
            for minute in minutes {
                sum.served += minute.served;
                sum.missed += minute.missed;
            }
            let Some(ratio) = sum.hit_ratio() else { continue };
            let (x, cut) = (index * 5, round(Self::HEIGHT * (1.0 - ratio)));
            // Writing to a string cannot fail.
            let _ = write!(missed, "M{x} 0h4v{cut}h-4z");
            let _ = write!(served, "M{x} {cut}h4V{}h-4z", Self::HEIGHT);
        }
        Self { width: MINUTES / TOGETHER * 5, served, missed, label: label(minutes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(served: u64, missed: u64) -> Minute {
        let mut minute = Minute::default();
        (minute.served, minute.missed) = (served, missed);
        minute
    }

    #[test]
    fn an_empty_hour_has_axes_and_nothing_else() {
        let picture = Timeline::new(&[Minute::default(); MINUTES], 720.0, 200.0);
        assert!(picture.bars.is_empty() && picture.lines.is_empty() && picture.dots.is_empty());
        assert_eq!(picture.grid[0].lookups, "2");
    }

    #[test]
    fn bars_stand_on_the_ground_and_the_line_breaks_where_nothing_was_asked() {
        let mut minutes = [Minute::default(); MINUTES];
        (minutes[0], minutes[1]) = (minute(10, 0), minute(5, 5));
        minutes[59] = minute(0, 7);
        let picture = Timeline::new(&minutes, 720.0, 200.0);
        assert_eq!((picture.bars.len(), picture.lines.len(), picture.dots.len()), (3, 1, 1));
        let (full, half) = (&picture.bars[0], &picture.bars[1]);
        assert_eq!((full.served_y, full.served_height), (TOP, picture.bottom - TOP));
        assert_eq!(half.missed_y + half.missed_height, half.served_y);
        assert_eq!(picture.dots[0].1, picture.bottom, "no hit at all");
        assert_eq!(picture.rows[0].ago, "this minute");
        assert_eq!(picture.rows[2].ratio, "100 %");
        assert!(picture.bars[2].x + picture.bars[2].width <= picture.right);
    }

    #[test]
    fn the_top_of_the_axis_is_even_and_not_below_the_most() {
        for most in [0, 1, 2, 3, 19, 20, 21, 199, 12_345, u64::MAX / 100] {
            let top = nice(most);
            assert!(
                top >= most && top.is_multiple_of(2) && top <= most.max(1) * 2 + 2,
                "{most}: {top}"
            );
        }
    }

    #[test]
    fn a_small_picture_is_divided_by_the_ratio() {
        let mut minutes = [Minute::default(); MINUTES];
        (minutes[57], minutes[58], minutes[59]) = (minute(1, 0), minute(1, 1), minute(1, 0));
        let picture = Sparkline::new(&minutes);
        assert_eq!(picture.missed, "M95 0h4v5h-4z");
        assert_eq!(picture.served, "M95 5h4V20h-4z");
        assert_eq!(picture.width, 100);
    }
}
