//! The rules for tags. Their effect is in `freshness`.

use crate::error::{Error, ErrorKind};

/// Maximum length of a tag, in bytes.
pub const MAX_TAG_BYTES: usize = 256;

/// Maximum number of tags that a fragment may declare. Tags added inside the body do not count.
pub const MAX_TAGS: usize = 64;

/// Checks a tag.
pub(crate) fn check(tag: &str) -> Result<(), Error> {
    if tag.is_empty() {
        return Err(refuse(
            "a tag is empty: write what the fragment shows, such as \"post:7\", or leave it out",
        ));
    }
    if tag.len() > MAX_TAG_BYTES {
        let start: String = tag.chars().take(40).collect();
        return Err(refuse(format!(
            "the tag {start:?}… is {} bytes long, and {MAX_TAG_BYTES} are allowed: write what \
             identifies the record, not the record",
            tag.len()
        )));
    }
    Ok(())
}

/// Checks the number of tags that a fragment declares.
#[inline]
pub(crate) fn check_count(count: usize) -> Result<(), Error> {
    if count <= MAX_TAGS {
        return Ok(());
    }
    Err(refuse(format!(
        "{count} tags are declared, and {MAX_TAGS} are allowed: write a tag for what they have in \
         common, or call cache_tags(tags=…) where each record is shown"
    )))
}

pub(crate) fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Tag, message)
}
