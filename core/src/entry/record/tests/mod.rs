//! Records: what is written is read, and nothing else is.

mod round_trip;
