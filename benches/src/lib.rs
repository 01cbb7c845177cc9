//! What the benches share: the pages that they render, the sources that they rewrite, and how two
//! ways to one result are timed against each other. Figures and commands: README.md.

pub mod listening;
pub mod pages;
pub mod sampling;
pub mod sources;
