//! Query results, in a form that either engine can convert to its own values.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;

/// One row of a result, by column.
pub type Row = BTreeMap<String, Cell>;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// SQL `NULL`.
    Null,
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Real(f64),
    /// A string.
    Text(String),
    /// A whole row, for a record that is passed to a page.
    Record(Row),
}

impl From<ValueRef<'_>> for Cell {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null | ValueRef::Blob(_) => Self::Null,
            ValueRef::Integer(number) => Self::Int(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
        }
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Cell> for minijinja::Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Null => Self::from(()),
            Cell::Int(number) => Self::from(number),
            Cell::Real(number) => Self::from(number),
            Cell::Text(text) => Self::from(text),
            Cell::Record(row) => Self::from(row),
        }
    }
}

impl From<Cell> for tera::Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Null => Self::none(),
            Cell::Int(number) => Self::from(number),
            Cell::Real(number) => Self::from(number),
            Cell::Text(text) => Self::from(text),
            Cell::Record(row) => Self::from(row),
        }
    }
}
