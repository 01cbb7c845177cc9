//! A body that is whole, or that was read in part and goes on.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

/// A body of a request or of a response, as it came, or with what was read of it already in front.
/// It is what a [`Cached`](crate::Cached) view is asked with, and what it answers with.
pub struct KeptBody<B: Body> {
    front: VecDeque<Result<Frame<Bytes>, B::Error>>,
    rest: Option<Pin<Box<B>>>,
}

impl<B: Body> Unpin for KeptBody<B> {}

impl<B: Body> fmt::Debug for KeptBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptBody").field("front", &self.front.len()).finish_non_exhaustive()
    }
}

impl<B: Body> Default for KeptBody<B> {
    /// An empty body.
    fn default() -> Self {
        Self { front: VecDeque::new(), rest: None }
    }
}

impl<B: Body> From<Bytes> for KeptBody<B> {
    fn from(bytes: Bytes) -> Self {
        let frames = (!bytes.is_empty()).then(|| Ok(Frame::data(bytes)));
        Self { front: frames.into_iter().collect(), rest: None }
    }
}

/// What came of reading a body.
pub(crate) enum Read<B: Body> {
    Whole(Bytes),
    /// It is too long, has trailers, or failed half-way. This is all of it.
    Not(KeptBody<B>),
}

impl<B: Body<Data = Bytes>> KeptBody<B> {
    /// The body as it came.
    pub(crate) fn untouched(body: B) -> Self {
        Self { front: VecDeque::new(), rest: Some(Box::pin(body)) }
    }

    /// Reads a body of at most `max` bytes to its end.
    pub(crate) async fn read(body: B, max: usize) -> Read<B> {
        let mut body = Box::pin(body);
        let mut front = VecDeque::new();
        let mut length = 0_usize;
        while let Some(frame) = body.frame().await {
            let data = frame.as_ref().ok().and_then(Frame::data_ref);
            let goes_on = data.is_some_and(|data| {
                length = length.saturating_add(data.len());
                length <= max
            });
            front.push_back(frame);
            if !goes_on {
                return Read::Not(Self { front, rest: Some(body) });
            }
        }
        let mut parts = front.into_iter().filter_map(|frame| frame.ok()?.into_data().ok());
        let first = parts.next().unwrap_or_default();
        if first.len() == length {
            return Read::Whole(first);
        }
        let mut whole = Vec::with_capacity(length);
        whole.extend_from_slice(&first);
        parts.for_each(|part| whole.extend_from_slice(&part));
        Read::Whole(whole.into())
    }
}

impl<B: Body<Data = Bytes>> Body for KeptBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.front.pop_front() {
            if frame.is_err() {
                self.rest = None;
            }
            return Poll::Ready(Some(frame));
        }
        match &mut self.rest {
            Some(rest) => rest.as_mut().poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_empty() && self.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let data = |frame: &Result<Frame<Bytes>, B::Error>| {
            frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len)
        };
        let front = self.front.iter().map(data).sum::<usize>() as u64;
        let Some(rest) = &self.rest else {
            return SizeHint::with_exact(front);
        };
        let rest = rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(front));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(front)) {
            hint.set_upper(upper);
        }
        hint
    }
}
