//! The buttons. Each deletes or invalidates, then redirects to a page that shows the result.

use axum::http::StatusCode;
use fragcache::{Error, Invalidation};

use crate::serve::{Answer, Fields, Visit};

/// The results of a button: the word in the next page's address, and the sentence that it displays.
const DONE: [(&str, &str); 6] = [
    ("removed", "Deleted. The next request renders it again."),
    ("absent", "Nothing was stored. Renders in progress will not be stored either."),
    ("name", "All entries were deleted. The next request renders them again."),
    (
        "tag",
        "Invalidated. Everything with this tag, and every fragment around it, is rendered again.",
    ),
    (
        "pending",
        "Deleted in this process. The store does not answer; the deletion is published as soon as \
         it does.",
    ),
    ("refused", "Nothing was done: a tag is 1 to 256 bytes long."),
];

/// The sentence for the last button's result, taken from the address.
pub(crate) fn done(fields: &Fields) -> Option<&'static str> {
    let said = fields.get("done")?;
    DONE.iter().find(|(word, _)| *word == said).map(|(_, sentence)| *sentence)
}

/// Performs the action of a form.
pub(crate) fn act(visit: &Visit, path: &str, form: &Fields) -> Answer {
    let found = visit.cache(form).and_then(|(name, cache)| Some((name, form.place(cache)?)));
    let (Some((name, cache)), Some(key)) = (found, form.key()) else {
        let why = "400: this form has no cache or no key; open the page again\n";
        return Answer::Refused(StatusCode::BAD_REQUEST, why);
    };
    let done = match path {
        "/delete" => Ok(word(cache.delete(&key), "removed")),
        "/delete-name" => Ok(word(cache.delete_name_of(&key), "name")),
        "/invalidate" => invalidate(&cache, form),
        _ => return Answer::Refused(StatusCode::NOT_FOUND, "404: there is no such button\n"),
    };
    let page = [("key", &*key.bare().to_hex()), ("done", done.unwrap_or("refused"))];
    Answer::See(visit.path("/name", name, &page))
}

fn invalidate(cache: &fragcache::FragmentCache, form: &Fields) -> Result<&'static str, Error> {
    let tag = form.get("tag").unwrap_or_default().trim();
    cache.invalidate_tags([tag]).map(|done| word(done, "tag"))
}

fn word(done: Invalidation, otherwise: &'static str) -> &'static str {
    match done {
        Invalidation::Absent => "absent",
        Invalidation::Pending => "pending",
        _ => otherwise,
    }
}
