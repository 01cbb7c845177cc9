//! The id of a cache block: what a render knows of it. The rewriter writes it into the lowered
//! source as one string literal, and the runtime reads it back, so that a source rewritten at build
//! time carries everything that a render needs. Keys and lookups are not built here.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_128;

use crate::block::CacheBlock;
use crate::options::BlockOption;

/// The length of a block's source digest in bytes: base64url of 128 bits.
///
/// ```
/// use fragcache_syntax::{BlockId, DIGEST_LEN};
///
/// assert_eq!(BlockId::builder("page.html", "<nav>").build().digest().len(), DIGEST_LEN);
/// ```
pub const DIGEST_LEN: usize = 22;

/// The id of a cache block: a digest of its source, its options, and its place.
///
/// [`rewrite`](crate::rewrite) writes it into the lowered template. An engine with custom tags of
/// its own builds it while it parses, with [`builder`](Self::builder), and passes the
/// [encoded](Self::encode) text to `fragcache::FragmentCache::open` with each render.
///
/// Encoded, it is the digest, one letter for each option whose value follows the positional
/// arguments, and `:line:column:ordinal:template`, where the template's name is percent-encoded
/// (except ASCII letters, digits and `._-/`).
///
/// ```
/// use fragcache_syntax::{BlockId, BlockOption};
///
/// let id = BlockId::builder("page.html", "<nav>…</nav>").line(3).column(5);
/// let id = id.with(BlockOption::Unless).build();
/// assert!(id.encode().ends_with("u:3:5:1:page.html"));
/// assert_eq!(BlockId::parse(&id.encode()), Some(id));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockId<'a> {
    digest: Cow<'a, str>,
    /// The letters of the options, in the order in which their values end the argument list.
    letters: Cow<'a, str>,
    line: u32,
    column: u32,
    ordinal: u32,
    template: Cow<'a, str>,
}

impl BlockId<'static> {
    /// Starts the id of a cache block in the template called `template`.
    ///
    /// `source` is the source text that determines what the block renders: its tag and its body,
    /// and if possible the partials that it includes. An entry is served only to a block with the
    /// same source, so an edited block never serves its earlier output.
    ///
    /// Without further calls, the block is the first one of line 1, its column is not known, and it
    /// has no options.
    ///
    /// ```
    /// use fragcache_syntax::BlockId;
    ///
    /// let digest = |body: &str| BlockId::builder("page.html", body).build().digest().to_owned();
    /// assert_eq!(digest("<nav>"), digest("<nav>"));
    /// assert_ne!(digest("<nav>"), digest("<nav class=wide>"));
    /// ```
    pub fn builder(template: impl Into<String>, source: &str) -> BlockIdBuilder {
        BlockIdBuilder {
            id: BlockId {
                digest: digest(source.as_bytes(), &[]).into(),
                letters: Cow::Borrowed(""),
                line: 1,
                column: 0,
                ordinal: 1,
                template: Cow::Owned(template.into()),
            },
        }
    }
}

impl<'a> BlockId<'a> {
    /// The id of a block that the rewriter found.
    pub(crate) fn of(block: &'a CacheBlock) -> Self {
        let letters = block.options.iter().filter_map(|option| option.letter());
        Self {
            digest: Cow::Borrowed(&block.digest),
            letters: letters.map(char::from).collect(),
            line: block.line,
            column: block.column,
            ordinal: block.ordinal,
            template: Cow::Borrowed(&block.template),
        }
    }

    /// The id as text. It is ASCII and has no quotes, backslashes or line breaks, so it is safe in a
    /// string literal of any engine.
    ///
    /// ```
    /// use fragcache_syntax::BlockId;
    ///
    /// let id = BlockId::builder("a \"b\".html", "").line(7).build();
    /// assert!(id.encode().ends_with(":7:0:1:a%20%22b%22.html"));
    /// ```
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(DIGEST_LEN + self.template.len() + 16);
        out.push_str(&self.digest);
        out.push_str(&self.letters);
        for number in [self.line, self.column, self.ordinal] {
            out.push(':');
            out.push_str(itoa::Buffer::new().format(number));
        }
        out.push(':');
        for byte in self.template.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' => {
                    out.push(char::from(byte));
                }
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
        out
    }

    /// Parses the output of [`encode`](Self::encode); `None` for any other text.
    ///
    /// ```
    /// use fragcache_syntax::BlockId;
    ///
    /// assert_eq!(BlockId::parse("sidebar"), None);
    /// ```
    pub fn parse(text: &'a str) -> Option<Self> {
        let BlockHead { digest, letters, rest } = BlockHead::of(text)?;
        let mut fields = rest.splitn(4, ':');
        let line = fields.next()?.parse().ok()?;
        let column = fields.next()?.parse().ok()?;
        let ordinal = fields.next()?.parse().ok()?;
        let template = decode_percent(fields.next()?)?;
        let (digest, letters) = (Cow::Borrowed(digest), Cow::Borrowed(letters));
        Some(Self { digest, letters, line, column, ordinal, template })
    }

    /// The digest of the block's source: [`DIGEST_LEN`] characters of base64url.
    ///
    /// ```
    /// use fragcache_syntax::{Syntax, rewrite};
    ///
    /// let page = rewrite("a.html", "{% cache %}{% endcache %}", &Syntax::tera())?;
    /// assert!(page.source().contains(page.blocks()[0].digest()));
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The options whose values follow the positional arguments, in the order of the values.
    ///
    /// ```
    /// use fragcache_syntax::{BlockId, BlockOption};
    ///
    /// let id = BlockId::builder("page.html", "");
    /// let id = id.with(BlockOption::Version).with(BlockOption::Unless).build();
    /// assert!(id.options().eq([BlockOption::Version, BlockOption::Unless]));
    /// ```
    pub fn options(&self) -> impl Iterator<Item = BlockOption> {
        self.letters.bytes().filter_map(BlockOption::of_letter)
    }

    /// The one-based line of the block's opening tag.
    ///
    /// ```
    /// # use fragcache_syntax::BlockId;
    /// assert_eq!(BlockId::builder("page.html", "").line(3).build().line(), 3);
    /// ```
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The one-based column of the block's opening tag, in characters; 0 if it is not known.
    ///
    /// ```
    /// # use fragcache_syntax::BlockId;
    /// assert_eq!(BlockId::builder("page.html", "").build().column(), 0);
    /// ```
    pub fn column(&self) -> u32 {
        self.column
    }

    /// The position of the block among the cache blocks that open on this line, counted from 1.
    ///
    /// ```
    /// # use fragcache_syntax::BlockId;
    /// assert_eq!(BlockId::builder("page.html", "").build().ordinal(), 1);
    /// ```
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// The name of the template.
    ///
    /// ```
    /// # use fragcache_syntax::BlockId;
    /// assert_eq!(BlockId::builder("page.html", "").build().template(), "page.html");
    /// ```
    pub fn template(&self) -> &str {
        &self.template
    }
}

/// Builds a [`BlockId`]; see [`BlockId::builder`].
///
/// Each option here has a value at run time. The values follow the positional arguments in the order
/// of the calls:
///
/// ```
/// use fragcache_syntax::{BlockId, BlockOption};
///
/// // {% cache 300, "post", post.id, version=post.version, unless=is_draft %}
/// let id = BlockId::builder("page.html", "…");
/// let id = id.with(BlockOption::Version).with(BlockOption::Unless).build();
/// // The arguments of each render: 300, "post", post.id, post.version, is_draft
/// assert_eq!(id.options().count(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct BlockIdBuilder {
    id: BlockId<'static>,
}

impl BlockIdBuilder {
    /// Sets the one-based line of the opening tag. An unnamed block is found again by template, line
    /// and ordinal; errors say line and column.
    #[must_use]
    pub fn line(mut self, line: u32) -> Self {
        self.id.line = line;
        self
    }

    /// Sets the one-based column of the opening tag, in characters; 0 if it is not known.
    #[must_use]
    pub fn column(mut self, column: u32) -> Self {
        self.id.column = column;
        self
    }

    /// Sets the position of the block among the cache blocks that open on its line, counted from 1.
    #[must_use]
    pub fn ordinal(mut self, ordinal: u32) -> Self {
        self.id.ordinal = ordinal;
        self
    }

    /// Adds an option whose value follows those of the options before it. Options whose values are
    /// known earlier, or are [declared](BlockOption::declared) by a miss, are no part of the id:
    /// they are ignored here, and so is an option that was added before.
    #[must_use]
    pub fn with(mut self, option: BlockOption) -> Self {
        if let Some(letter) = option.letter().map(char::from)
            && !self.id.letters.contains(letter)
        {
            self.id.letters.to_mut().push(letter);
        }
        self
    }

    /// Returns the id.
    pub fn build(self) -> BlockId<'static> {
        self.id
    }
}

/// The start of an encoded [`BlockId`], which is all that a hit needs: no number is parsed, and
/// nothing is allocated.
///
/// ```
/// use fragcache_syntax::{BlockHead, BlockId, BlockOption};
///
/// let id = BlockId::builder("page.html", "").with(BlockOption::Unless).with(BlockOption::Using);
/// let encoded = id.build().encode();
/// let head = BlockHead::of(&encoded).unwrap();
/// assert_eq!(head.values(), 2);
/// assert_eq!(head.from_end(BlockOption::Using), Some(1));
/// assert!(encoded.starts_with(head.digest()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHead<'a> {
    digest: &'a str,
    letters: &'a str,
    /// What follows the letters and their colon.
    rest: &'a str,
}

impl<'a> BlockHead<'a> {
    /// Reads the start of an encoded id; `None` for a text that does not start like one, also if it
    /// has an option that this version does not know.
    #[inline]
    pub fn of(encoded: &'a str) -> Option<Self> {
        let (digest, after) = encoded.split_at_checked(DIGEST_LEN)?;
        // Most blocks have no such option.
        if let Some(rest) = after.strip_prefix(':') {
            return Some(Self { digest, letters: "", rest });
        }
        let colon = after.bytes().position(|byte| byte == b':')?;
        let (letters, rest) = (&after[..colon], &after[colon + 1..]);
        let are_known = letters.bytes().all(|letter| BlockOption::of_letter(letter).is_some());
        are_known.then_some(Self { digest, letters, rest })
    }

    /// The digest of the block's source.
    #[inline]
    pub fn digest(&self) -> &'a str {
        self.digest
    }

    /// The number of options whose values follow the positional arguments.
    #[inline]
    pub fn values(&self) -> usize {
        self.letters.len()
    }

    /// These options, in the order of their values.
    #[inline]
    pub fn options(&self) -> impl Iterator<Item = BlockOption> + use<'a> {
        self.letters.bytes().filter_map(BlockOption::of_letter)
    }

    /// The position of the value of `option` among a block's values, counted from the end: 1 for the
    /// last one. `None` without the option.
    #[inline]
    pub fn from_end(&self, option: BlockOption) -> Option<usize> {
        let letter = option.letter()?;
        let before = self.letters.bytes().position(|byte| byte == letter)?;
        Some(self.letters.len() - before)
    }
}

/// Hashes a block's own source and the parts it uses: 128 bits in [`DIGEST_LEN`] characters of
/// base64url.
pub(crate) fn digest(own: &[u8], parts: &[u128]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut hash = xxh3_128(own);
    if !parts.is_empty() {
        let all: Vec<u8> =
            std::iter::once(&hash).chain(parts).flat_map(|part| part.to_le_bytes()).collect();
        hash = xxh3_128(&all);
    }
    (0..DIGEST_LEN)
        .map(|at| {
            // Six bits for each character, from the top. The last one has only two.
            let six = if at == DIGEST_LEN - 1 { hash << 4 } else { hash >> (122 - 6 * at) };
            char::from(ALPHABET[(six & 63) as usize])
        })
        .collect()
}

fn decode_percent(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_for_any_template_name() {
        for template in ["page.html", "a b\"\n\0é%41'\\{%", ""] {
            let id = BlockId::builder(template, "body").line(7).column(3).ordinal(2);
            let id = id
                .with(BlockOption::Unless)
                .with(BlockOption::Version)
                .with(BlockOption::Using)
                .with(BlockOption::Refresh)
                .build();
            let text = id.encode();
            assert!(text.is_ascii() && !text.contains(['"', '\'', '\\', '\n']));
            assert!(text[DIGEST_LEN..].starts_with("uvcr:7:3:2:"), "{text}");
            assert_eq!(BlockId::parse(&text), Some(id));
        }
        assert_eq!(BlockId::parse("short"), None);
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(BlockId::parse("0123456789abcdefghijklu:1:1:1:a").is_some());
        for foreign in ["x:1:1:1:a", "ux:1:1:1:a", "U:1:1:1:a", "é:1:1:1:a", "u"] {
            let text = format!("0123456789abcdefghijkl{foreign}");
            assert_eq!(BlockId::parse(&text), None, "{text}");
            assert_eq!(BlockHead::of(&text), None, "{text}");
        }
    }

    #[test]
    fn an_option_counts_once() {
        let id = BlockId::builder("a", "")
            .with(BlockOption::Unless)
            .with(BlockOption::Using)
            .with(BlockOption::Unless)
            .build();
        assert!(id.options().eq([BlockOption::Unless, BlockOption::Using]));
    }
}
