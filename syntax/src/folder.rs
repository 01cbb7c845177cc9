//! Rewrites a whole folder, for build scripts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

use crate::block::CacheBlock;
use crate::delimiters::Syntax;
use crate::follow::{Sources, components};
use crate::rewrite_with;
use crate::warning::Warning;

/// A template that [`rewrite_folder`] rewrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewrittenFile {
    name: String,
    written: PathBuf,
    blocks: Vec<CacheBlock>,
    warnings: Vec<Warning>,
}

impl RewrittenFile {
    /// The template's name: its path relative to the folder, with `/` between the parts.
    ///
    /// An example is at [`rewrite_folder`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that the lowered source was written to.
    ///
    /// An example is at [`rewrite_folder`].
    pub fn written(&self) -> &Path {
        &self.written
    }

    /// The template's cache blocks.
    ///
    /// An example is at [`rewrite_folder`].
    pub fn blocks(&self) -> &[CacheBlock] {
        &self.blocks
    }

    /// Probable mistakes in the template. A build script prints them.
    ///
    /// An example is at [`rewrite_folder`].
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// Rewrites the templates of folder `from` into folder `to`, for a build script.
///
/// `is_template` gets the path of each file relative to `from`. A file for which it returns `true`
/// is rewritten under the name that the engine knows it by: that path with `/` between its parts.
/// All other files are copied byte for byte. The digests of cache blocks cover what they use of
/// other files in the folder, as with [`rewrite_with`]. Missing folders are created, and other
/// files in `to` are left alone. The result lists the templates in order of name.
///
/// # Errors
///
/// Returns [`ErrorKind::Io`], with the path, for a file that cannot be read or written or for a
/// template that is not UTF-8; [`ErrorKind::Config`] if one folder lies in the other; and the
/// errors of [`rewrite`](crate::rewrite).
///
/// ```
/// use fragcache_syntax::{Syntax, rewrite_folder};
///
/// # let root = std::env::temp_dir().join(format!("fragcache-doc-{}", std::process::id()));
/// # let (from, to) = (root.join("templates"), root.join("out"));
/// # std::fs::create_dir_all(from.join("shop"))?;
/// std::fs::write(from.join("shop/page.html"), "{% cache 300 %}Hello{% endcache %}")?;
/// std::fs::write(from.join("logo.svg"), "<svg/>")?;
///
/// let files = rewrite_folder(&from, &to, &Syntax::minijinja(), |path| {
///     path.extension().is_some_and(|extension| extension == "html")
/// })?;
/// assert_eq!(files[0].name(), "shop/page.html");
/// assert_eq!(files[0].written(), to.join("shop").join("page.html"));
/// assert_eq!(files[0].blocks().len(), 1);
/// assert_eq!(std::fs::read_to_string(to.join("logo.svg"))?, "<svg/>");
/// for warning in files.iter().flat_map(|file| file.warnings()) {
///     println!("cargo::warning={warning}");
/// }
/// # std::fs::remove_dir_all(root)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rewrite_folder(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    syntax: &Syntax,
    is_template: impl Fn(&Path) -> bool,
) -> Result<Vec<RewrittenFile>, Error> {
    let (from, to) = (from.as_ref(), to.as_ref());
    syntax.validate()?;
    let inside = |a: &Path, b: &Path| a.starts_with(b);
    fs::create_dir_all(to).map_err(|error| fault("make the folder", to, error))?;
    let real = |path: &Path| path.canonicalize().map_err(|error| fault("open", path, error));
    let (real_from, real_to) = (real(from)?, real(to)?);
    if inside(&real_from, &real_to) || inside(&real_to, &real_from) {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "the folders `{}` and `{}` lie in each other: write to a folder outside, such as \
                 `OUT_DIR`",
                from.display(),
                to.display()
            ),
        ));
    }
    let mut templates = Vec::new();
    let mut folder = Folder { from, templates: BTreeMap::new(), components: BTreeMap::new() };
    for path in files_below(from)? {
        let source = from.join(&path);
        let target = to.join(&path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|error| fault("make the folder", folder, error))?;
        }
        if !is_template(&path) {
            fs::copy(&source, &target).map_err(|error| fault("copy", &source, error))?;
            continue;
        }
        let name = template_name(&path);
        let text = fs::read_to_string(&source).map_err(|error| fault("read", &source, error))?;
        for component in components(&text, syntax) {
            folder.components.entry(component).or_default().push(name.clone());
        }
        folder.templates.insert(name.clone(), text.into());
        templates.push((name, target));
    }
    let mut rewritten = Vec::new();
    for (name, target) in templates {
        let page = rewrite_with(&name, &folder.templates[&name], syntax, &folder)?;
        fs::write(&target, page.source()).map_err(|error| fault("write", &target, error))?;
        rewritten.push(RewrittenFile {
            name,
            written: target,
            blocks: page.blocks().to_vec(),
            warnings: page.warnings().to_vec(),
        });
    }
    rewritten.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rewritten)
}

/// Resolves the references between the templates of a folder.
struct Folder<'f> {
    from: &'f Path,
    templates: BTreeMap<String, Arc<str>>,
    /// The templates that define each component.
    components: BTreeMap<String, Vec<String>>,
}

impl Sources for Folder<'_> {
    fn templates(&self, name: &str) -> Vec<Arc<str>> {
        let known = self.templates.get(name).cloned();
        // A template may include a file that is only copied.
        let below = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        let copied = || below.then(|| fs::read_to_string(self.from.join(name)).ok()).flatten();
        known.or_else(|| copied().map(Arc::from)).into_iter().collect()
    }

    fn component(&self, name: &str) -> Vec<String> {
        self.components.get(name).cloned().unwrap_or_default()
    }
}

/// The paths of all files below `root`, relative to it and sorted.
fn files_below(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        let entries = fs::read_dir(&path).map_err(|error| fault("read", &path, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| fault("read", &path, error))?;
            let below = folder.join(entry.file_name());
            let whole = root.join(&below);
            let about = fs::metadata(&whole).map_err(|error| fault("read", &whole, error))?;
            if about.is_dir() {
                folders.push(below);
            } else {
                found.push(below);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn template_name(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

fn fault(verb: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {verb} `{}`: {error}", path.display()))
        .with_source(error)
}
