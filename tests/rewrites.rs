//! rewrites
