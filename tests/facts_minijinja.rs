//! facts_minijinja
