//! errors_hostile
