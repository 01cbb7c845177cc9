//! flask
