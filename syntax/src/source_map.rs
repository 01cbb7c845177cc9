//! Maps offsets in a lowered source to the author's source. `lower.rs` builds the map; code that
//! shows an engine's error uses it.

use std::ops::Range;

/// Maps each part of a lowered source to the author's source.
///
/// ```
/// use fragcache_syntax::{Syntax, rewrite};
///
/// let source = "{% cache 300 %}Hello{% endcache %}";
/// let page = rewrite("page.html", source, &Syntax::minijinja())?;
/// let lowered = page.source().find("Hello").unwrap();
/// assert_eq!(page.map().original(lowered), 15);
/// // Anything inside a generated tag is the author's cache tag.
/// assert_eq!(page.map().original_range(0..2), 0..15);
/// # Ok::<(), fragcache_syntax::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceMap {
    /// Sorted by `lowered`, without gaps. Empty if nothing was rewritten.
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    lowered: Range<usize>,
    original: Range<usize>,
    copied: bool,
}

impl SourceMap {
    /// Returns the offset in the author's source for `lowered`, an offset in the lowered source.
    ///
    /// Copied text maps byte for byte; generated text maps to the start of the author's tag. An
    /// offset past the end maps to the end.
    ///
    /// ```
    /// # use fragcache_syntax::{Syntax, rewrite};
    /// let page = rewrite("page.html", "no block", &Syntax::tera())?;
    /// assert_eq!(page.map().original(3), 3);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn original(&self, lowered: usize) -> usize {
        match self.segment(lowered) {
            None => lowered,
            Some(segment) => segment.start_of(lowered),
        }
    }

    /// Returns the range of the author's source for the range `lowered`. Generated text at either
    /// end maps to the whole author's tag. If the ends are in the opposite order in the author's
    /// source, as with an option that is evaluated later than its neighbours, the range covers
    /// everything between them.
    ///
    /// ```
    /// # use fragcache_syntax::{Syntax, rewrite};
    /// let page = rewrite("page.html", "no block", &Syntax::tera())?;
    /// assert_eq!(page.map().original_range(3..8), 3..8);
    /// # Ok::<(), fragcache_syntax::Error>(())
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

    /// Appends the next part of the lowered source.
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
    /// The start, in the author's source, of the part of this segment from `lowered` on.
    fn start_of(&self, lowered: usize) -> usize {
        if self.copied { self.copied_to(lowered) } else { self.original.start }
    }

    /// The end, in the author's source, of the part of this segment before `lowered`.
    fn end_of(&self, lowered: usize) -> usize {
        if self.copied { self.copied_to(lowered) } else { self.original.end }
    }

    fn copied_to(&self, lowered: usize) -> usize {
        let into = lowered.saturating_sub(self.lowered.start);
        (self.original.start + into).min(self.original.end)
    }
}
