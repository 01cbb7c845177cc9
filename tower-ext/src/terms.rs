//! The handler's policy for its own response.

use std::time::Duration;

use fragcache::Timeout;

use crate::directives::LONGEST;

/// The handler's policy for its response: tags, a timeout other than the view's, or a veto. It is
/// an extension of the response; with axum it can also be a part of what the handler returns.
///
/// What the handler does through [`fragcache::current`] counts too.
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
    /// An empty policy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds tags. [Invalidating](fragcache::FragmentCache::invalidate_tags) one of them deletes the
    /// response. A response with an invalid tag is not cached.
    pub fn tags<T: AsRef<str>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(|tag| tag.as_ref().into()));
        self
    }

    /// Sets the timeout. It takes precedence over the view's and over `Cache-Control`. The maximum
    /// is 2^31 seconds (68 years); longer timeouts are cut to it.
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.timeout = Some(clamped(timeout));
        self
    }

    /// Sets the timeout, counted from when the response was made. With zero, it is not cached.
    pub fn expires_after(self, ttl: Duration) -> Self {
        self.timeout(Timeout::After(ttl))
    }

    /// Prevents caching of the response.
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

/// Limits a timeout to what every clock can represent.
pub(crate) fn clamped(timeout: Timeout) -> Timeout {
    match timeout {
        Timeout::After(ttl) => Timeout::After(ttl.min(LONGEST)),
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
