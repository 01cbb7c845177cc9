//! Error responses.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Why there is no page. It is sent as plain text, so that nothing in it is interpreted as markup.
#[derive(Debug)]
pub enum Problem {
    /// There is nothing at this address.
    NotFound(String),
    /// The form's contents are invalid.
    Refused(String),
    /// An internal error.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::NotFound(message) => (StatusCode::NOT_FOUND, message),
            Self::Refused(message) => (StatusCode::BAD_REQUEST, message),
            // A real shop logs the error and shows the visitor less.
            Self::Failed(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")),
        };
        (status, format!("{status}\n\n{message}\n")).into_response()
    }
}
