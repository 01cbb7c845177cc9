//! What the attributes write, run. What they refuse is in the crate's own tests.

mod bad_input;
mod calls;
mod flights;
mod kept;
mod methods;
mod writes;
