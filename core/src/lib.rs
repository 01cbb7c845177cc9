//! fragcache (skeleton)
mod error;
pub mod syntax;
pub use error::{Error, ErrorKind, Location};
