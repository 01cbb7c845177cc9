//! The visitor: a cookie with a user's number. A real shop has sessions and passwords.

use std::convert::Infallible;

use axum::extract::{Form, FromRequestParts};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use crate::seed::USER_COUNT;

/// The user in the cookie; the first user for a visitor without one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visitor(pub(super) i64);

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let headers = parts.headers.get_all(COOKIE).into_iter();
        let mut cookies = headers.filter_map(|header| header.to_str().ok());
        let user = cookies.find_map(|cookies| {
            cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("user=")?.parse().ok())
        });
        Ok(Self(user.filter(|user| (1..=USER_COUNT).contains(user)).unwrap_or(1)))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Switch {
    user: i64,
}

pub(super) async fn switch(Form(form): Form<Switch>) -> impl IntoResponse {
    let cookie = format!("user={}; Path=/; HttpOnly; SameSite=Lax", form.user);
    ([(SET_COOKIE, cookie)], Redirect::to("/"))
}
