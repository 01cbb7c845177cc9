//! A treemap: rectangles with areas proportional to the numbers and nearly square. The algorithm is
//! M. Bruls, K. Huizing, J. van Wijk, Squarified Treemaps, 2000.

use serde::Serialize;

use super::round;

/// The subject of a rectangle.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tile {
    pub(crate) size: u64,
    pub(crate) label: String,
    pub(crate) figure: String,
    pub(crate) title: String,
    pub(crate) shade: &'static str,
    /// The link; `None` for the sum of the remaining names.
    pub(crate) link: Option<String>,
}

/// A chart of areas.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Treemap {
    width: f64,
    height: f64,
    cells: Vec<Cell>,
}

#[derive(Debug, Clone, Serialize)]
struct Cell {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    /// The label, cut to the available space; may be empty.
    text: String,
    figure: String,
    tile: Tile,
}

#[derive(Debug, Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// Width of a letter and height of a line.
const LETTER: f64 = 7.2;
const LINE: f64 = 20.0;

#[allow(clippy::cast_precision_loss, reason = "coordinates")]
impl Treemap {
    pub(crate) fn new(tiles: &[Tile], width: f64, height: f64) -> Self {
        let mut tiles: Vec<&Tile> = tiles.iter().filter(|tile| tile.size > 0).collect();
        tiles.sort_by_key(|tile| std::cmp::Reverse(tile.size));
        let sum: f64 = tiles.iter().map(|tile| tile.size as f64).sum();
        let scale = width * height / sum.max(1.0);
        let sizes: Vec<f64> = tiles.iter().map(|tile| tile.size as f64 * scale).collect();
        let areas = squarify(&sizes, Area { x: 0.0, y: 0.0, width, height });
        let cells = tiles.into_iter().zip(areas).map(|(tile, area)| cell(tile, area));
        Self { width, height, cells: cells.collect() }
    }
}

fn cell(tile: &Tile, area: Area) -> Cell {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below zero")]
    let letters = ((area.width - 12.0) / LETTER).max(0.0) as usize;
    let has_line = area.height >= LINE && letters >= 3;
    let has_figure =
        area.height >= 2.0 * LINE + 2.0 && has_line && tile.figure.chars().count() <= letters;
    Cell {
        x: round(area.x),
        y: round(area.y),
        width: round(area.width),
        height: round(area.height),
        text: if has_line { cut(&tile.label, letters) } else { String::new() },
        figure: if has_figure { tile.figure.clone() } else { String::new() },
        tile: tile.clone(),
    }
}

fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

/// One area per size. The sizes are in descending order and together fill `room`.
fn squarify(sizes: &[f64], mut room: Area) -> Vec<Area> {
    let mut areas = Vec::with_capacity(sizes.len());
    let mut rest = sizes;
    while !rest.is_empty() {
        let short = room.width.min(room.height);
        let mut count = 1;
        while count < rest.len() && worst(&rest[..=count], short) <= worst(&rest[..count], short) {
            count += 1;
        }
        let (row, after) = rest.split_at(count);
        room = lay(row, room, &mut areas);
        rest = after;
    }
    areas
}

/// The worst aspect ratio in a row of these sizes along a side of this length.
fn worst(row: &[f64], short: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let thick = sum / short;
    row.iter().map(|size| (size / thick / thick).max(thick * thick / size)).fold(0.0, f64::max)
}

/// Places a row along the shorter side of `room`. Returns the remaining area.
fn lay(row: &[f64], room: Area, areas: &mut Vec<Area>) -> Area {
    let sum: f64 = row.iter().sum();
    let Area { x, y, width, height } = room;
    let mut along = 0.0;
    if width >= height {
        let thick = sum / height;
        for size in row {
            let long = size / thick;
            areas.push(Area { x, y: y + along, width: thick, height: long });
            along += long;
        }
        Area { x: x + thick, width: (width - thick).max(0.0), ..room }
    } else {
        let thick = sum / width;
        for size in row {
            let long = size / thick;
            areas.push(Area { x: x + along, y, width: long, height: thick });
            along += long;
        }
        Area { y: y + thick, height: (height - thick).max(0.0), ..room }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(size: u64) -> Tile {
        let label = format!("tile {size}");
        Tile { size, label, figure: String::new(), title: String::new(), shade: "s0", link: None }
    }

    #[test]
    fn areas_are_as_the_numbers_and_stay_inside() {
        let tiles: Vec<Tile> = [1, 500, 20, 300, 7, 7, 90].into_iter().map(tile).collect();
        let picture = Treemap::new(&tiles, 700.0, 300.0);
        assert_eq!(picture.cells.len(), 7);
        for cell in &picture.cells {
            let share = cell.width * cell.height / (700.0 * 300.0);
            #[allow(clippy::cast_precision_loss, reason = "a small number")]
            let wanted = cell.tile.size as f64 / 925.0;
            assert!((share - wanted).abs() < 0.002, "{share} for {wanted}");
            assert!(cell.x >= 0.0 && cell.x + cell.width <= 700.2);
            assert!(cell.y >= 0.0 && cell.y + cell.height <= 300.2);
        }
        assert_eq!(picture.cells[0].tile.size, 500, "the largest first");
    }

    #[test]
    fn nothing_and_one_are_pictures_too() {
        assert!(Treemap::new(&[tile(0)], 700.0, 300.0).cells.is_empty());
        let one = Treemap::new(&[tile(9)], 700.0, 300.0);
        assert_eq!((one.cells[0].width, one.cells[0].height), (700.0, 300.0));
    }

    #[test]
    fn a_label_is_cut_to_its_room() {
        assert_eq!(cut("sidebar", 7), "sidebar");
        assert_eq!(cut("sidebar", 4), "sid…");
    }
}
