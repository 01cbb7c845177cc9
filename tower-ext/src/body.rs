//! A body that is whole, or that was read in part and goes on.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fragcache::ReadPoint;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

/// A body of a request or of a response, as it came, or with what was read of it already in front.
/// It is what a [`Cached`](crate::Cached) view is asked with, and what it answers with.
pub struct KeptBody<B: Body> {
    front: VecDeque<Result<Frame<Bytes>, B::Error>>,
    rest: Option<Pin<Box<B>>>,
    point: Option<ReadPoint>,
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
        Self { front: VecDeque::new(), rest: None, point: None }
    }
}

impl<B: Body> From<Bytes> for KeptBody<B> {
    fn from(bytes: Bytes) -> Self {
        let frames = (!bytes.is_empty()).then(|| Ok(Frame::data(bytes)));
        Self { front: frames.into_iter().collect(), rest: None, point: None }
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
        Self { front: VecDeque::new(), rest: Some(Box::pin(body)), point: None }
    }

    /// Reads a body of at most `max` bytes to its end.
    pub(crate) async fn read(body: B, max: usize) -> Read<B> {
        let mut body = Box::pin(body);
        // In one piece: a body of a million pieces takes no more than its bytes. The first is copied
        // only if there is a second.
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
                    kept.front.push_back(frame);
                    return Read::Not(Self { rest: Some(body), ..kept });
                }
            }
        }
        Read::Whole(if all.is_empty() { first } else { all.into() })
    }

    /// The body, with what it renders while it is read under this read point.
    pub(crate) fn under(self, point: ReadPoint) -> Self {
        Self { point: Some(point), ..self }
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
        let point = self.point;
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let mut read = || rest.as_mut().poll_frame(context);
        match point {
            Some(point) => point.scope(read),
            None => read(),
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
