//! The handlers: they render pages, and invalidate fragments after a change.

use std::sync::Arc;

use axum::extract::{Form, Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Redirect};
use fragcache::Invalidation;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::visitor::Visitor;
use super::{Problem, Shop};
use crate::prices;
use crate::token;
use crate::views::{self, Page};

/// Response header that says whether all processes know of a change.
const INVALIDATION: &str = "x-invalidation";

type Shared = State<Arc<Shop>>;

pub(super) async fn home(
    State(shop): Shared,
    Visitor(user): Visitor,
) -> Result<Html<String>, Problem> {
    render(shop, Page::Home { user }).await
}

pub(super) async fn product(
    State(shop): Shared,
    Visitor(user): Visitor,
    Path(id): Path<i64>,
) -> Result<Html<String>, Problem> {
    // Taken before the film is read. If its price changes after this, the page shows the old price,
    // and the fragments rendered from it are not stored.
    let read_point = shop.cache.read_point();
    blocking(move || {
        let Some(film) = shop.database.product(id)? else {
            return Err(Problem::NotFound(format!("there is no film {id}")));
        };
        Ok(Html(shop.render(&Page::Product { user, film, read_point })?))
    })
    .await
}

#[derive(Debug, Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

pub(super) async fn search(
    State(shop): Shared,
    Visitor(user): Visitor,
    Query(search): Query<Search>,
) -> Result<Html<String>, Problem> {
    // Each search text is a fragment of its own: limit the length of the texts.
    let query: String = search.q.trim().to_lowercase().chars().take(60).collect();
    render(shop, Page::Search { user, query }).await
}

pub(super) async fn receipt(
    State(shop): Shared,
    Path(order): Path<i64>,
) -> Result<impl IntoResponse, Problem> {
    blocking(move || {
        if !shop.database.has_order(order)? {
            return Err(Problem::NotFound(format!("there is no order {order}")));
        }
        let text = shop.render(&Page::Receipt { order })?;
        Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text))
    })
    .await
}

#[derive(Debug, Deserialize)]
pub(super) struct NewPrice {
    price: String,
    token: String,
}

pub(super) async fn change_price(
    State(shop): Shared,
    Visitor(user): Visitor,
    Path(id): Path<i64>,
    Form(form): Form<NewPrice>,
) -> Result<impl IntoResponse, Problem> {
    if !token::is_of(&shop.database, user, &form.token) {
        return Err(Problem::Refused("this form is not from a page of yours".to_owned()));
    }
    let Some(cents) = cents(&form.price) else {
        return Err(Problem::Refused(format!(
            "{:?} is not a price; write an amount such as 7.49",
            form.price
        )));
    };
    blocking(move || {
        let Some(told) = prices::change_price(&shop.database, &shop.cache, id, cents)? else {
            return Err(Problem::NotFound(format!("there is no film {id}")));
        };
        // The price has changed, and this process shows it. Other processes may show the old price
        // until the store is available. This is worth a log message, but it is not an error.
        let told = if told == Invalidation::Pending { "pending" } else { "done" };
        Ok(([(INVALIDATION, told)], Redirect::to(&format!("/product/{id}"))))
    })
    .await
}

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    name: String,
}

pub(super) async fn save_account(
    State(shop): Shared,
    Visitor(user): Visitor,
    Form(form): Form<Account>,
) -> Result<Html<String>, Problem> {
    let name: String = form.name.trim().chars().take(60).collect();
    if name.is_empty() {
        return Err(Problem::Refused("a name cannot be empty".to_owned()));
    }
    blocking(move || {
        shop.database.set_user_name(user, &name)?;
        // The function `user` tags fragments that show this user, and `users` tags
        // those that list all users: every sidebar.
        shop.cache.invalidate_tags([format!("user:{user}"), "users".to_owned()])?.eventually();
        Ok(Html(shop.render(&Page::Saved { user })?))
    })
    .await
}

pub(super) async fn stats(
    State(shop): Shared,
    Visitor(user): Visitor,
) -> Result<Html<String>, Problem> {
    render(shop, Page::Stats { user }).await
}

pub(super) async fn health(State(shop): Shared) -> String {
    views::health(&shop.cache)
}

pub(super) async fn style() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css"), (CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("../style.css"))
}

async fn render(shop: Arc<Shop>, page: Page) -> Result<Html<String>, Problem> {
    blocking(move || Ok(Html(shop.render(&page)?))).await
}

/// Runs blocking code on a thread for that purpose.
async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    spawn_blocking(run).await.map_err(|error| Problem::Failed(error.into()))?
}

/// Parses `7.49` as 749, up to 9999.99.
fn cents(text: &str) -> Option<i64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 4 || fraction.len() > 2 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<2}").parse().ok()?;
    Some(whole * 100 + fraction)
}

#[cfg(test)]
mod tests {
    use super::cents;

    #[test]
    fn prices_are_read_to_the_cent_or_not_at_all() {
        assert_eq!(cents("7.49"), Some(749));
        assert_eq!(cents(" 7,5 "), Some(750));
        assert_eq!(cents("12"), Some(1200));
        for text in ["", ".", "-1", "1.234", "10000", "7.4€", "1e3", "NaN"] {
            assert_eq!(cents(text), None, "{text:?}");
        }
    }
}
