//! Loads templates from a folder by a glob, like [`Tera`]'s own `load_from_glob`.

use std::path::{Path, PathBuf};

use fragcache::{Error, ErrorKind};
use globset::GlobBuilder;
use tera::{Tera, TeraResult};
use walkdir::WalkDir;

use crate::error;
use crate::install::Installation;
use crate::templates;

/// Loads all files that match `glob`, such as `templates/**/*.html`. Use it in place
/// of `Tera::load_from_glob`. It loads the same files under the same names: their
/// paths below the part of the glob before the first `*`.
///
/// Templates with the same names are replaced; all others stay. To read changed
/// files, call it again, or call [`full_reload`]. A template whose file was removed
/// stays loaded, because a Tera can drop only templates that it loaded itself. If
/// that matters, create a new Tera. Tera's own `full_reload` does not know this glob.
///
/// # Errors
///
/// Returns the errors of [`add_raw_template`](crate::add_raw_template),
/// [`ErrorKind::Config`] for an invalid glob, and [`ErrorKind::Io`] for a file that
/// cannot be read. Nothing changes on an error.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::{Context, Tera};
///
/// # let folder = std::env::temp_dir().join(format!("fragcache-tera-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// std::fs::write(folder.join("a.html"), "{% cache 60 %}Hello{% endcache %}")?;
///
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// fragcache_tera::load_from_glob(&mut tera, &format!("{}/**/*.html", folder.display()))?;
/// assert_eq!(fragcache_tera::render(&tera, "a.html", &Context::new())?, "Hello");
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_from_glob(tera: &mut Tera, glob: &str) -> TeraResult<()> {
    Installation::of(tera)?;
    let mut sources = Vec::new();
    for (path, name) in files(glob).map_err(error::into_tera)? {
        let source = std::fs::read_to_string(&path)
            .map_err(|cause| error::into_tera(unreadable(&path, cause)))?;
        sources.push((name, source));
    }
    templates::add_raw_templates(tera, sources)?;
    let (installation, _) = Installation::of(tera)?;
    let mut loaded = installation.loaded.clone();
    loaded.glob = Some(glob.to_owned());
    Installation { caches: installation.caches.clone(), loaded }.keep_in(tera);
    Ok(())
}

/// Loads the last loaded glob again. Use it in place of [`Tera::full_reload`].
///
/// # Errors
///
/// Returns the errors of [`load_from_glob`], and [`ErrorKind::Config`] if no glob
/// was loaded through this crate.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::Tera;
///
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// let error = fragcache_tera::full_reload(&mut tera).unwrap_err();
/// assert!(error.to_string().contains("load_from_glob"));
/// # Ok::<(), tera::Error>(())
/// ```
pub fn full_reload(tera: &mut Tera) -> TeraResult<()> {
    let (installation, _) = Installation::of(tera)?;
    match &installation.loaded.glob {
        Some(glob) => load_from_glob(tera, glob),
        None => Err(error::into_tera(Error::new(
            ErrorKind::Config,
            "no glob has been loaded yet; call fragcache_tera::load_from_glob first",
        ))),
    }
}

/// Paths and template names of the files that match `glob`, sorted by file name.
fn files(glob: &str) -> Result<Vec<(PathBuf, String)>, Error> {
    let refuse = |message: String| Error::new(ErrorKind::Config, message);
    let star = glob.find('*').ok_or_else(|| {
        refuse(format!("`{glob}` contains no `*`; write a glob such as templates/**/*.html"))
    })?;
    let split = glob[..star].rfind(std::path::is_separator).map_or(0, |at| at + 1);
    let (folder, pattern) = glob.split_at(split);
    let folder = Path::new(if folder.is_empty() { "." } else { folder });
    // As in Tera, a folder that does not exist contains no templates.
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let matcher = GlobBuilder::new(&folder.join(pattern).to_string_lossy())
        .literal_separator(true)
        .build()
        .map_err(|cause| refuse(format!("`{glob}` is not a glob: {cause}")).with_source(cause))?
        .compile_matcher();
    let mut files = Vec::new();
    for entry in WalkDir::new(&folder).follow_links(true).sort_by_file_name() {
        let Ok(entry) = entry else { continue };
        let path = entry.into_path();
        let Ok(below) = path.strip_prefix(&folder) else { continue };
        if path.is_file() && matcher.is_match(&path) {
            let name = below.to_string_lossy().replace('\\', "/");
            files.push((path, name));
        }
    }
    Ok(files)
}

fn unreadable(path: &Path, cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot read `{}`: {cause}", path.display()))
        .with_source(cause)
}
