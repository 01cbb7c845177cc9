//! The inspector behind the shop's staff password. The browser asks for the password if a request
//! has none. A check that has to wait, such as a session lookup in a database, would also go here.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fragcache::FragmentCache;
use fragcache_inspector::Inspector;

/// The user name that belongs to the password.
const NAME: &str = "staff";

/// Request extension that marks a request as admitted by the layer.
#[derive(Debug, Clone, Copy)]
struct Staff;

/// The inspector of a cache under these hosts, for requests with the password.
pub(super) fn router(cache: FragmentCache, password: &str, hosts: &[String]) -> Router {
    let inspector = Inspector::new("shop", cache)
        .hosts(hosts)
        .guard(|request| request.extensions.get::<Staff>().is_some());
    let wanted = format!("Basic {}", STANDARD.encode(format!("{NAME}:{password}")));
    inspector.into_router().layer(from_fn_with_state(Arc::<str>::from(wanted), let_staff_in))
}

async fn let_staff_in(
    State(wanted): State<Arc<str>>,
    mut request: Request,
    next: Next,
) -> Response {
    let sent = request.headers().get(AUTHORIZATION).map(|sent| sent.as_bytes());
    if !sent.is_some_and(|sent| is_equal(sent, wanted.as_bytes())) {
        let ask = [(WWW_AUTHENTICATE, "Basic realm=\"the shop's inspector\", charset=\"UTF-8\"")];
        return (StatusCode::UNAUTHORIZED, ask, "401: this page is for staff\n").into_response();
    }
    request.extensions_mut().insert(Staff);
    next.run(request).await
}

/// Compares two texts in constant time, so that the password cannot be guessed letter by letter.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).fold(0, |differ, (one, other)| differ | (one ^ other)) == 0
}
