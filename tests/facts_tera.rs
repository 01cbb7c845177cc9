//! facts_tera
