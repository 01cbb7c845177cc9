//! What a handler says of its own response.

use std::time::Duration;

use fragcache::Timeout;

use crate::directives::LONGEST;

/// What a handler says of its response: tags, another timeout than the view's, or that it is not to be
/// kept. It goes with the response: as an extension of it, or, with axum, as a part of what the handler
/// returns.
///
/// What the handler's body does through [`fragcache::current`] counts too.
///
/// ```
/// use axum::response::IntoResponse;
/// use fragcache_tower::ResponsePolicy;
/// use std::time::Duration;
///
/// async fn film() -> impl IntoResponse {
///     let terms = ResponsePolicy::new().tags(["film:7"]).expires_after(Duration::from_secs(60));
///     (terms, "Film 7")
/// }
/// # let _ = film;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct ResponsePolicy {
    tags: Vec<Box<str>>,
    timeout: Option<Timeout>,
    veto: bool,
}

impl ResponsePolicy {
    /// Nothing said.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds tags: whoever [invalidates](fragcache::FragmentCache::invalidate_tags) one of them deletes
    /// the response. An unusable one keeps the response from being kept.
    pub fn tags<T: AsRef<str>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(|tag| tag.as_ref().into()));
        self
    }

    /// Sets the timeout, in place of the view's and of what `Cache-Control` says. More than 2^31
    /// seconds (68 years) is that much.
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.timeout = Some(clamped(timeout));
        self
    }

    /// The response expires so long after it was made. Zero keeps it from being kept.
    pub fn expires_after(self, life: Duration) -> Self {
        self.timeout(Timeout::After(life))
    }

    /// The response is not kept.
    pub fn veto(mut self) -> Self {
        self.veto = true;
        self
    }

    pub(crate) fn is_vetoed(&self) -> bool {
        self.veto
    }

    pub(crate) fn given_tags(&self) -> &[Box<str>] {
        &self.tags
    }

    pub(crate) fn given_timeout(&self) -> Option<Timeout> {
        self.timeout
    }
}

/// A timeout that any clock can count.
pub(crate) fn clamped(timeout: Timeout) -> Timeout {
    match timeout {
        Timeout::After(life) => Timeout::After(life.min(LONGEST)),
        timeout => timeout,
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponseParts for ResponsePolicy {
    type Error = std::convert::Infallible;

    fn into_response_parts(
        self,
        mut response: axum::response::ResponseParts,
    ) -> Result<axum::response::ResponseParts, Self::Error> {
        response.extensions_mut().insert(self);
        Ok(response)
    }
}
