//! A body that was read completely, or partly read and continues.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fragcache::ReadPoint;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

/// A request or response body, with the frames that were already read in front. A
/// [`CacheLayer`](crate::CacheLayer) passes it to the inner service and answers with it.
pub struct CachedBody<B: Body> {
    front: VecDeque<Result<Frame<Bytes>, B::Error>>,
    rest: Rest<B>,
    point: Option<ReadPoint>,
}

/// What follows the frames that were read.
enum Rest<B> {
    Nothing,
    Body(Pin<Box<B>>),
    /// No more data, but the body declared another length. The size hint must still show what is
    /// missing, as the original body's would: the server then closes the connection. Without it,
    /// the client would wait for the rest, or take the next response for it.
    Broken(SizeHint),
}

impl<B: Body> Unpin for CachedBody<B> {}

impl<B: Body> fmt::Debug for CachedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedBody").field("front", &self.front.len()).finish_non_exhaustive()
    }
}

impl<B: Body> Default for CachedBody<B> {
    /// An empty body.
    fn default() -> Self {
        Self { front: VecDeque::new(), rest: Rest::Nothing, point: None }
    }
}

impl<B: Body> From<Bytes> for CachedBody<B> {
    fn from(bytes: Bytes) -> Self {
        let frames = (!bytes.is_empty()).then(|| Ok(Frame::data(bytes)));
        Self { front: frames.into_iter().collect(), rest: Rest::Nothing, point: None }
    }
}

/// The result of reading a body.
pub(crate) enum Read<B: Body> {
    Whole(Bytes),
    /// It is too long or has trailers, and was not read to its end. This is the complete body.
    TooMuch(CachedBody<B>),
    /// It failed, or its length differs from the declared one. This is the complete body.
    Broken(CachedBody<B>),
}

impl<B: Body<Data = Bytes>> CachedBody<B> {
    /// An unread body.
    pub(crate) fn untouched(body: B) -> Self {
        Self { front: VecDeque::new(), rest: Rest::Body(Box::pin(body)), point: None }
    }

    /// Reads a body of at most `max` bytes to its end. The result is `Whole` if its length matches
    /// its size hint and, if given, `length`.
    pub(crate) async fn read(body: B, max: usize, length: Option<u64>) -> Read<B> {
        let promised = body.size_hint();
        let mut body = Box::pin(body);
        // One buffer: a body of a million frames takes no more memory than its bytes. The first
        // frame is copied only if there is a second.
        let (mut first, mut all) = (Bytes::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let data = frame.as_ref().ok().and_then(Frame::data_ref);
            let held = first.len().max(all.len());
            match data.filter(|data| data.len() <= max.saturating_sub(held)) {
                Some(data) if held == 0 => first = data.clone(),
                Some(data) => {
                    if all.is_empty() {
                        all.extend_from_slice(&first);
                    }
                    all.extend_from_slice(data);
                }
                None => {
                    let read = if all.is_empty() { first } else { all.into() };
                    let mut kept = Self::from(read);
                    let failed = frame.is_err();
                    kept.front.push_back(frame);
                    let kept = Self { rest: Rest::Body(body), ..kept };
                    return if failed { Read::Broken(kept) } else { Read::TooMuch(kept) };
                }
            }
        }
        let read: Bytes = if all.is_empty() { first } else { all.into() };
        let count = read.len() as u64;
        let is_promised =
            promised.lower() <= count && promised.upper().is_none_or(|upper| count <= upper);
        if is_promised && length.is_none_or(|length| length == count) {
            return Read::Whole(read);
        }
        Read::Broken(Self { rest: Rest::Broken(promised), ..Self::from(read) })
    }

    /// Renders the rest of the body under this read point.
    pub(crate) fn under(self, point: ReadPoint) -> Self {
        Self { point: Some(point), ..self }
    }
}

impl<B: Body<Data = Bytes>> Body for CachedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.front.pop_front() {
            match (&frame, &mut self.rest) {
                (Err(_), rest) => *rest = Rest::Nothing,
                (Ok(frame), Rest::Broken(promised)) => {
                    *promised = less(promised, frame.data_ref().map_or(0, Bytes::len));
                }
                _ => {}
            }
            return Poll::Ready(Some(frame));
        }
        let point = self.point;
        let rest = match &mut self.rest {
            Rest::Nothing => return Poll::Ready(None),
            Rest::Broken(_) => {
                self.rest = Rest::Nothing;
                return Poll::Ready(None);
            }
            Rest::Body(rest) => rest,
        };
        let mut read = || rest.as_mut().poll_frame(context);
        match point {
            Some(point) => point.scope(read),
            None => read(),
        }
    }

    fn is_end_stream(&self) -> bool {
        let has_ended = match &self.rest {
            Rest::Nothing => true,
            Rest::Body(rest) => rest.is_end_stream(),
            Rest::Broken(_) => false,
        };
        has_ended && self.front.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let data = |frame: &Result<Frame<Bytes>, B::Error>| {
            frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len)
        };
        let front = self.front.iter().map(data).sum::<usize>() as u64;
        let rest = match &self.rest {
            Rest::Nothing => SizeHint::with_exact(0),
            Rest::Body(rest) => rest.size_hint(),
            Rest::Broken(promised) => return *promised,
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(front));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(front)) {
            hint.set_upper(upper);
        }
        hint
    }
}

/// The size hint after `count` more bytes.
fn less(promised: &SizeHint, count: usize) -> SizeHint {
    let count = count as u64;
    let mut hint = SizeHint::new();
    hint.set_lower(promised.lower().saturating_sub(count));
    if let Some(upper) = promised.upper() {
        hint.set_upper(upper.saturating_sub(count));
    }
    hint
}
