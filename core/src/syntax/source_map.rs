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
            Some(segment) if segment.copied => segment.copied_to(lowered),
            Some(segment) => segment.original.start,
        }
    }

    /// The range of the author's source that `lowered` stands for: generated text at either end
    /// becomes the whole of the author's tag.
    ///
    /// ```
    /// # use fragcache::syntax::{Syntax, rewrite};
    /// let page = rewrite("page.html", "no block", &Syntax::tera())?;
    /// assert_eq!(page.map().original_range(3..8), 3..8);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn original_range(&self, lowered: Range<usize>) -> Range<usize> {
        let start = self.original(lowered.start);
        let last = lowered.end.saturating_sub(1).max(lowered.start);
        let end = match self.segment(last) {
            None => lowered.end,
            Some(segment) if segment.copied => segment.copied_to(lowered.end),
            Some(segment) => segment.original.end,
        };
        start..end.max(start)
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
    fn copied_to(&self, lowered: usize) -> usize {
        let into = lowered.saturating_sub(self.lowered.start);
        (self.original.start + into).min(self.original.end)
    }
}
