//! `{{#cache}}` for Handlebars, which has block helpers of its own, so that no template is rewritten.
//!
//! While a template is registered, each cache block gets its [`BlockId`] as one more argument of the
//! helper. While it renders, the helper passes the id and the values to the cache: that is all.

use std::collections::HashMap;

use fragcache::engine::{self, BlockId, BlockOption, Body, Opened, OutputMode};
use fragcache::{Error, ErrorKind, FragmentCache};
use handlebars::template::{HelperTemplate, Parameter, Template, TemplateElement};
use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, RenderContext, RenderError,
    RenderErrorReason, Renderable, StringOutput,
};
use serde_json::Value as Json;

use crate::values::{self, Values};

/// The argument that carries a block's id.
const ID: &str = "__fragcache_id";

/// Adds the helper `cache` to a registry.
pub(crate) fn add_to_handlebars(registry: &mut Handlebars<'_>, cache: FragmentCache) {
    // The indentation of a partial would be part of the stored markup.
    registry.set_prevent_indent(true);
    registry.register_helper("cache", Box::new(CacheHelper { cache }));
}

/// Registers a template whose cache blocks get their ids. A template that is registered another way
/// fails when it renders a cache block.
///
/// # Errors
///
/// The engine's errors, and an error with the place of a cache block that is not allowed.
pub(crate) fn register_template(
    registry: &mut Handlebars<'_>,
    name: &str,
    source: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut template = Template::compile_with_name(source, name.to_owned())?;
    let lines = source.split_inclusive('\n').map(str::len).scan(0, |at, len| {
        let start = *at;
        *at += len;
        Some(start)
    });
    let mut loading =
        Loading { name, source, lines: lines.collect(), ordinals: HashMap::new(), around: vec![] };
    loading.template(&mut template, (1, 1), source.len())?;
    registry.register_template(name, template);
    Ok(())
}

/// A template while its cache blocks get their ids.
struct Loading<'t> {
    name: &'t str,
    source: &'t str,
    /// The offset of each line.
    lines: Vec<usize>,
    /// How many cache blocks were found on each line.
    ordinals: HashMap<u32, u32>,
    /// The helpers around the element.
    around: Vec<String>,
}

impl Loading<'_> {
    /// `place` and the offset `end` enclose the part of the source that `template` was compiled from.
    fn template(
        &mut self,
        template: &mut Template,
        place: (u32, u32),
        end: usize,
    ) -> Result<(), Error> {
        let places: Vec<(u32, u32)> = template
            .mapping
            .iter()
            .map(|place| (place.0.try_into().unwrap_or(0), place.1.try_into().unwrap_or(0)))
            .collect();
        for (index, element) in template.elements.iter_mut().enumerate() {
            // The engine knows no place of a chained `else if`.
            let place = places.get(index).copied().unwrap_or(place);
            let end = places.get(index + 1).map_or(end, |next| self.offset(*next));
            match element {
                TemplateElement::HelperBlock(block) => self.helper(block, place, end)?,
                TemplateElement::DecoratorBlock(decorator)
                | TemplateElement::PartialBlock(decorator) => {
                    self.refuse_decorator(place)?;
                    if let Some(inner) = &mut decorator.template {
                        self.template(inner, place, end)?;
                    }
                }
                TemplateElement::DecoratorExpression(_) => self.refuse_decorator(place)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn helper(
        &mut self,
        block: &mut HelperTemplate,
        place: (u32, u32),
        end: usize,
    ) -> Result<(), Error> {
        let name = block.name.as_name().unwrap_or_default().to_owned();
        if name == "cache" {
            let id = self.block_id(block, place, end)?;
            block.hash.insert(ID.to_owned(), Parameter::Literal(Json::String(id.encode())));
        }
        self.around.push(name);
        for inner in [&mut block.template, &mut block.inverse].into_iter().flatten() {
            self.template(inner, place, end)?;
        }
        self.around.pop();
        Ok(())
    }

    /// The id of the cache block at `place`, whose source ends at `end` or before.
    fn block_id(
        &mut self,
        block: &HelperTemplate,
        place: (u32, u32),
        end: usize,
    ) -> Result<BlockId<'static>, Error> {
        if block.inverse.is_some() {
            return Err(self.error(place, "a cache block has no `else`: write `if` inside it"));
        }
        if block.params.len() < 2 && self.around.iter().any(|name| name == "each") {
            return Err(self.error(
                place,
                "an unnamed cache block in `each` would give all items the same fragment: add a \
                 name and what differs, as in `{{#cache 300 \"row\" id}}`",
            ));
        }
        for name in block.hash.keys() {
            match BlockOption::of_name(name) {
                Some(option)
                    if values::OPTIONS.contains(&option)
                        || BlockOption::declared().any(|declared| declared == option) => {}
                _ => {
                    return Err(self.error(place, &format!("`{name}` is not an option of `cache`")));
                }
            }
        }
        let (line, column) = place;
        let ordinal = self.ordinals.get(&line).map_or(1, |before| before + 1);
        self.ordinals.insert(line, ordinal);
        // From the tag to the next element: a byte too much only makes the id change more often.
        let source = self.source.get(self.offset(place)..end).unwrap_or(self.source);
        let id = BlockId::builder(self.name, source).line(line).column(column).ordinal(ordinal);
        // In the order in which `Values` has them.
        let given = values::OPTIONS.iter().filter(|option| block.hash.contains_key(option.name()));
        Ok(given.fold(id, |id, option| id.with(*option)).build())
    }

    /// A decorator changes what follows it, which a hit would not do.
    fn refuse_decorator(&self, place: (u32, u32)) -> Result<(), Error> {
        if self.around.iter().any(|name| name == "cache") {
            return Err(self.error(
                place,
                "a decorator in a cache block would not take effect after a hit: move it out",
            ));
        }
        Ok(())
    }

    /// The offset of a one-based line and column.
    fn offset(&self, (line, column): (u32, u32)) -> usize {
        let start =
            self.lines.get((line as usize).saturating_sub(1)).copied().unwrap_or(self.source.len());
        let rest = &self.source[start..];
        let before = (column as usize).saturating_sub(1);
        let within = rest.char_indices().nth(before).map_or(rest.len(), |(at, _)| at);
        start + within
    }

    fn error(&self, (line, column): (u32, u32), message: &str) -> Error {
        Error::new(ErrorKind::Syntax, message).at(self.name, line, column)
    }
}

/// The helper. It has no state but the cache.
struct CacheHelper {
    cache: FragmentCache,
}

impl HelperDef for CacheHelper {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn handlebars::Output,
    ) -> HelperResult {
        let id = helper.hash_get(ID).and_then(|id| id.value().as_str());
        let (Some(id), Some(template)) = (id, helper.template()) else {
            return Err(failed(Error::new(
                ErrorKind::Config,
                "this cache block has no id: load its template with `register_template`",
            )));
        };
        // Markup is kept apart by its escaping, so that a page never prints that of a text file.
        let escapes = !render.is_disable_escape() && (registry.get_escape_fn())("<") != "<";
        let mut rendering =
            Rendering { mode: if escapes { OutputMode::HTML } else { OutputMode::RAW } };
        let opened = self.cache.open(id, &Values::of(helper), &mut rendering, Body::to_shared);
        let ticket = match opened.map_err(failed)? {
            Opened::Hit(markup) => return Ok(out.write(&markup)?),
            Opened::Render(ticket) => OpenBlock(ticket.into_id()),
        };
        let given = BlockOption::declared()
            .filter_map(|option| Some((option, values::option(helper.hash_get(option.name())?))));
        engine::declare(ticket.0, &given.collect::<Vec<_>>()).map_err(failed)?;
        let mut body = StringOutput::new();
        template.render(registry, context, render, &mut body)?;
        let markup = Body::from(body.into_string()?);
        let closed = engine::close(ticket.0, markup.clone());
        Ok(out.write(closed.instead.as_ref().unwrap_or(&markup).as_str())?)
    }
}

/// The number of an open block. It is abandoned when the body fails or panics.
struct OpenBlock(u64);

impl Drop for OpenBlock {
    fn drop(&mut self) {
        // Does nothing for a block that was closed.
        engine::abandon(self.0);
    }
}

/// What the cache asks of a render.
struct Rendering {
    mode: OutputMode,
}

impl engine::RenderContext for Rendering {
    fn mode(&self) -> OutputMode {
        self.mode
    }

    fn is_bounded(&self) -> bool {
        // `OpenBlock` ends with the helper's call.
        true
    }

    fn memo(&mut self) -> Option<std::sync::Arc<engine::RenderMemo>> {
        // A helper does not see where the render of the page begins and ends.
        None
    }

    fn read_point(&mut self) -> Option<fragcache::ReadPoint> {
        // Those that are open on the thread count all the same.
        None
    }
}

fn failed(error: Error) -> RenderError {
    RenderErrorReason::NestedError(Box::new(error)).into()
}
