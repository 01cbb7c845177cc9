//! From places in a lowered source back to the author's. Built by `lower.rs`, asked by whoever
//! shows an engine's error.

use std::ops::Range;

/// Where each stretch of a lowered source comes from.
///
/// ```
/// use fragcache::syntax::{Syntax, rewrite};
///
/// let source = "{% cache 300 %}Hello{% endcache %}";
/// let page = rewrite("page.html", source, &Syntax::minijinja())?;
/// let lowered = page.source().find("Hello").unwrap();
/// assert_eq!(page.map().original(lowered), 15);
/// // Anything inside a generated tag is the author's cache tag.
/// assert_eq!(page.map().original_range(0..2), 0..15);
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceMap {
    /// By `lowered`, without gaps; empty when nothing was rewritten.
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    lowered: Range<usize>,
    original: Range<usize>,
    copied: bool,
}

impl SourceMap {
    /// The offset in the author's source that stands for `lowered`, an offset in the lowered one.
    ///
    /// What was copied maps byte for byte; what was generated maps to the start of the author's
    /// tag. An offset past the end maps to the end.
    ///
    /// ```
    /// # use fragcache::syntax::{Syntax, rewrite};
    /// let page = rewrite("page.html", "no block", &Syntax::tera())?;
    /// assert_eq!(page.map().original(3), 3);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn original(&self, lowered: usize) -> usize {
        match self.segment(lowered) {
            None => lowered,
            Some(segment) => segment.start_of(lowered),
        }
    }

    /// The range of the author's source that `lowered` stands for: generated text at either end
    /// becomes the whole of the author's tag. Where the ends were written in the other order, as an
    /// option that is evaluated later than its neighbours may be, it is all between them.
    ///
    /// ```
    /// # use fragcache::syntax::{Syntax, rewrite};
    /// let page = rewrite("page.html", "no block", &Syntax::tera())?;
    /// assert_eq!(page.map().original_range(3..8), 3..8);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn original_range(&self, lowered: Range<usize>) -> Range<usize> {
        let last = lowered.end.saturating_sub(1).max(lowered.start);
        let (Some(first), Some(last)) = (self.segment(lowered.start), self.segment(last)) else {
            return lowered.start..lowered.end.max(lowered.start);
        };
        let start = first.start_of(lowered.start);
        let end = last.end_of(lowered.end);
        if start <= end {
            return start..end;
        }
        let first_end = first.end_of(lowered.end);
        last.start_of(lowered.start).min(end)..first_end.max(start)
    }

    fn segment(&self, lowered: usize) -> Option<&Segment> {
        let at = self.segments.partition_point(|segment| segment.lowered.end <= lowered);
        self.segments.get(at).or(self.segments.last())
    }

    /// Notes the next stretch of the lowered source.
    pub(super) fn push(&mut self, len: usize, original: Range<usize>, copied: bool) {
        if len == 0 {
            return;
        }
        let start = self.segments.last().map_or(0, |segment| segment.lowered.end);
        if let Some(last) = self.segments.last_mut() {
            let continues = match copied {
                true => last.copied && last.original.end == original.start,
                false => !last.copied && last.original == original,
            };
            if continues {
                last.lowered.end += len;
                last.original.end = original.end;
                return;
            }
        }
        self.segments.push(Segment { lowered: start..start + len, original, copied });
    }
}

impl Segment {
    /// Where the part of this segment from `lowered` on starts in the author's source.
    fn start_of(&self, lowered: usize) -> usize {
        if self.copied { self.copied_to(lowered) } else { self.original.start }
    }

    /// Where its part before `lowered` ends there.
    fn end_of(&self, lowered: usize) -> usize {
        if self.copied { self.copied_to(lowered) } else { self.original.end }
    }

    fn copied_to(&self, lowered: usize) -> usize {
        let into = lowered.saturating_sub(self.lowered.start);
        (self.original.start + into).min(self.original.end)
    }
}
