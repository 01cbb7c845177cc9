//! What a cache block or its body declares once a render is certain: the options that only a miss
//! evaluates. Nothing here is evaluated on a hit.

use std::time::Duration;

use fragcache_syntax::BlockOption;

use super::stack::{self, Frame};
use crate::error::{Error, ErrorKind};
use crate::events::{EventKind, RefusalReason};
use crate::policy::ErrorPolicy;
use crate::tag;
use crate::timeout::{Scalar, Timeout, is_no_time};

/// The value of a declared option or of a function's argument, as an engine extension passes it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum OptionValue<'a> {
    /// One value. A list inside a list is [`Scalar::Other`].
    Scalar(Scalar<'a>),
    /// The items of a list.
    List(Vec<Scalar<'a>>),
}

/// Declares options of the block with ticket number `id`: those of
/// [`BlockOption::declared`] that the block has, each with its value.
///
/// # Errors
///
/// [`ErrorKind::Tag`], [`ErrorKind::Timeout`] or [`ErrorKind::Option`] with the block's place for the
/// first unusable value, if the cache's [`Policy`](crate::Policy) makes that an error. The block is
/// not stored in either case.
pub fn declare(id: u64, options: &[(BlockOption, OptionValue<'_>)]) -> Result<(), Error> {
    let outcome = stack::with_frame(id, |frame| {
        options.iter().try_for_each(|(option, value)| {
            obey(frame, *option, value).map_err(|(error, reason)| refused(frame, error, reason))
        })
    });
    settle(outcome)
}

/// Applies one declared option to the frame of its block.
fn obey(
    frame: &mut Frame,
    option: BlockOption,
    value: &OptionValue<'_>,
) -> Result<(), (Error, RefusalReason)> {
    match option {
        BlockOption::Tags => {
            let tags = read(value).and_then(|tags| tag::check_count(tags.len()).map(|()| tags));
            let tags = tags.map_err(|error| (error, RefusalReason::Tag))?;
            tags.iter().for_each(|tag| frame.tag(tag));
        }
        BlockOption::Stale => {
            let stale = window(one(value));
            let stale = stale.map_err(|error| (error, RefusalReason::Timeout))?;
            frame.options.stale = Some(stale);
        }
        _ => {
            let message = format!(
                "`{}` is not declared by a miss: pass its value with the block's arguments",
                option.name()
            );
            return Err((Error::new(ErrorKind::Option, message), RefusalReason::Option));
        }
    }
    Ok(())
}

/// `cache_tags(tags=…)` in a template: [`current::add_tags`](crate::current::add_tags) for an
/// engine's values.
///
/// # Errors
///
/// [`ErrorKind::Tag`], if the cache's [`Policy`](crate::Policy) makes that an error. The fragment
/// is not stored in either case.
pub fn add_tags(tags: &OptionValue<'_>) -> Result<(), Error> {
    match read(tags) {
        Ok(tags) => {
            stack::with_current(|frame| tags.iter().for_each(|tag| frame.tag_late(tag)));
            Ok(())
        }
        Err(error) => refuse_current(error, RefusalReason::Tag),
    }
}

/// `cache_expire(after=…)` in a template: [`current::expire_after`](crate::current::expire_after)
/// for an engine's value. The value is read like a timeout, except that zero, a negative number and
/// a zero duration (`"0s"`) expire the fragment immediately.
///
/// # Errors
///
/// [`ErrorKind::Timeout`] for anything but a duration or none, if the cache's
/// [`Policy`](crate::Policy) makes that an error. The fragment is not stored in either case.
pub fn expire_after(after: Scalar<'_>) -> Result<(), Error> {
    // An end that has passed by the time it is computed counts as now.
    let is_over = match after {
        Scalar::Int(seconds) => seconds <= 0,
        Scalar::Float(seconds) => seconds <= 0.0,
        Scalar::Str(text) => is_no_time(text),
        _ => false,
    };
    if is_over {
        super::current::expire_after(Duration::ZERO);
        return Ok(());
    }
    match Timeout::from_scalar(after) {
        Ok(Timeout::After(ttl)) => super::current::expire_after(ttl),
        Ok(Timeout::Never) => {}
        Ok(Timeout::Default | Timeout::Delete) | Err(_) => {
            let message = format!(
                "cache_expire got {}; write a number of seconds or a duration (\"90s\"), or \
                 cache_veto() to store nothing",
                shown(after)
            );
            let error = Error::new(ErrorKind::Timeout, message);
            return refuse_current(error, RefusalReason::Timeout);
        }
    }
    Ok(())
}

/// Handles a bad argument of a function that a body calls.
fn refuse_current(error: Error, reason: RefusalReason) -> Result<(), Error> {
    if stack::depth() == 0 {
        return Err(error);
    }
    stack::with_current(|frame| frame.veto(reason));
    settle(stack::with_top(|frame| Err(refused(frame, error, reason))))
}

/// An error, the policy for it, and its report.
struct Refused(Error, ErrorPolicy, Box<dyn FnOnce()>);

/// Vetoes a frame, and returns what to report once the frames are no longer borrowed.
fn refused(frame: &mut Frame, error: Error, reason: RefusalReason) -> Refused {
    frame.veto(reason);
    let (cache, source, key) = (frame.cache.clone(), frame.source.clone(), frame.key.clone());
    let on_mistake = cache.policy().bad_arguments;
    let tell = move || cache.emit(EventKind::Refused(reason), Some(&key), &source);
    Refused(frame.locate(error), on_mistake, Box::new(tell))
}

fn settle(outcome: Option<Result<(), Refused>>) -> Result<(), Error> {
    let Some(Err(Refused(error, on_mistake, tell))) = outcome else { return Ok(()) };
    match on_mistake {
        // The veto is reported when the block is closed.
        ErrorPolicy::Uncached => Ok(()),
        ErrorPolicy::Error => {
            tell();
            Err(error)
        }
    }
}

fn read(tags: &OptionValue<'_>) -> Result<Vec<String>, Error> {
    let list = match tags {
        OptionValue::List(list) => list,
        OptionValue::Scalar(value) => {
            return Err(tag::refuse(format!(
                "tags is {}: write a list, such as tags=[\"nav\", \"post:7\"]",
                value.describe()
            )));
        }
    };
    let text = |value: &Scalar<'_>| match value {
        Scalar::Str(text) => tag::check(text).map(|()| (*text).to_owned()),
        Scalar::Int(number) => Ok(number.to_string()),
        Scalar::BigInt(number) => Ok(number.to_string()),
        Scalar::Undefined => Err(tag::refuse(
            "a tag is undefined, so nothing could invalidate the fragment by it: write a text, \
             such as \"post:\" ~ post.id",
        )),
        other => Err(tag::refuse(format!(
            "a tag is {}: write a text, such as \"post:\" ~ post.id",
            other.describe()
        ))),
    };
    list.iter().map(text).collect()
}

fn window(stale: Scalar<'_>) -> Result<Duration, Error> {
    if stale == Scalar::None {
        return Ok(Duration::ZERO);
    }
    match Timeout::from_scalar(stale) {
        Ok(Timeout::After(window)) => Ok(window),
        Ok(_) => Err(Error::new(
            ErrorKind::Timeout,
            format!(
                "the stale window is {}; write a duration (\"30s\"), or none for no window",
                shown(stale)
            ),
        )),
        Err(_) if is_positive(stale) => Err(Error::new(
            ErrorKind::Timeout,
            format!(
                "the stale window is {}, longer than a clock can count (292 years); write a \
                 shorter one",
                shown(stale)
            ),
        )),
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            format!(
                "the stale window is {}; write a duration (\"30s\") or a positive number of \
                 seconds, or none for no window",
                shown(stale)
            ),
        )),
    }
}

/// The value of an option that takes no list.
fn one<'a>(value: &OptionValue<'a>) -> Scalar<'a> {
    match value {
        OptionValue::Scalar(value) => *value,
        OptionValue::List(_) => Scalar::Other("list"),
    }
}

fn is_positive(value: Scalar<'_>) -> bool {
    match value {
        Scalar::Int(number) => number > 0,
        Scalar::BigInt(_) => true,
        Scalar::Float(number) => number.is_finite() && number > 0.0,
        _ => false,
    }
}

fn shown(value: Scalar<'_>) -> String {
    match value {
        Scalar::Int(number) => number.to_string(),
        Scalar::Float(number) => format!("{number:e}"),
        other => other.describe(),
    }
}
