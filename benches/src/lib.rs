//! Code shared by the benches: the pages that they render, the sources that they rewrite, and
//! alternating measurement. Figures and commands are in README.md.

pub mod calls;
pub mod listening;
pub mod pages;
pub mod sampling;
pub mod sources;
