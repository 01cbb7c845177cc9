//! The command line's grammar.

#![allow(clippy::doc_markdown, reason = "these comments are what --help prints")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fragcache::CacheMode;
use fragcache::key::KeyKind;

/// Heading of the options that every command has.
const WHERE: &str = "Which cache, and how";

/// Looks into a shared fragment cache, deletes from it, and switches it.
///
/// The store is that of a config file (--config, or the variable FRAGCACHE_CONFIG) with settings of
/// the environment over it, or is given by --store. It must be one that processes share: redis or
/// file.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 pending: the store could not be told, and nothing
/// has been done as far as is known.
#[derive(Parser)]
#[command(name = "fragcache", version, propagate_version = false, arg_required_else_help = true)]
#[command(term_width = 100)]
pub(crate) struct Options {
    /// The settings of the cache, a TOML file
    #[arg(long, short, global = true, value_name = "FILE", conflicts_with = "store", help_heading = WHERE)]
    pub(crate) config: Option<PathBuf>,

    /// The store, in place of a config file: redis://HOST:PORT/DB, rediss://…, unix:///PATH or
    /// file:FOLDER. A password had better be in FRAGCACHE_REDIS__PASSWORD: others see arguments
    #[arg(long, global = true, value_name = "STORE", help_heading = WHERE)]
    pub(crate) store: Option<String>,

    /// What stands before every key of the cache, over what the settings say
    #[arg(long, global = true, value_name = "PREFIX", help_heading = WHERE)]
    pub(crate) prefix: Option<String>,

    /// How the variables begin that are settings
    #[arg(long, global = true, value_name = "START", default_value = "FRAGCACHE_", help_heading = WHERE)]
    pub(crate) env_prefix: String,

    /// How long to wait for the store, over what the settings say for pages
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", help_heading = WHERE)]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) deadline: Duration,

    /// Write JSON
    #[arg(long, global = true, help_heading = WHERE)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what is in the store, and how it is
    ///
    /// Reads every entry, in batches. In a namespace it counts entries only.
    Stats(Place),
    /// Show a fragment, or what there is of another kind; or why it would not be served
    ///
    /// A fragment's markup is shown exactly. Other kinds only the application can read: of these
    /// the lines of scan are shown. For a function or a view every entry is read, which is slow.
    Get(Get),
    /// List entries, or those that a pattern matches
    ///
    /// Reads every entry, in batches, which is slow. Each is a
    /// line of fields with tabs between them: state, age, time left, bytes in the store, namespace,
    /// key, template, kind. A state other than "servable" says why the entry would not be served.
    /// Progress is on the standard error.
    Scan(Scan),
    /// See whether the settings are right and the store answers, and how fast
    ///
    /// Writes one record for a moment, and deletes it.
    Check,
    /// Delete fragments by key, name or template, or by a pattern
    ///
    /// Every process stops serving them at once, or within the near_ttl of its settings.
    Delete(Delete),
    /// Delete the fragments that carry one of these tags
    Invalidate(Invalidate),
    /// Delete everything, or everything in a namespace
    Clear(Clear),
    /// Show or switch how far all processes take part
    ///
    /// They follow within two seconds. Invalidations count in every mode.
    Mode(Switch),
    /// Remove from a folder what is over
    ///
    /// Stores other than files do that by themselves.
    Sweep,
}

#[derive(Args)]
pub(crate) struct Place {
    /// The namespace, outermost first: a/b is b within a. Write \/ for a slash in a name
    #[arg(long, value_name = "A/B")]
    pub(crate) namespace: Option<String>,
}

#[derive(Args)]
pub(crate) struct Key {
    /// The fragment's name, or that of what --kind says
    #[arg(value_name = "NAME", conflicts_with = "template")]
    pub(crate) fragment: Option<String>,

    /// What it varies on. A number is the same as its text
    #[arg(value_name = "PART", allow_negative_numbers = true)]
    pub(crate) vary_on: Vec<String>,

    /// What it varies on as a JSON list, for none and for lists: '[42, null, ["a", "b"]]'
    #[arg(long, value_name = "JSON", requires = "fragment", conflicts_with = "vary_on")]
    pub(crate) parts: Option<String>,

    /// The template, by the name that the engine knows
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) template: Option<String>,

    /// The line of an unnamed cache block in the template
    #[arg(long, value_name = "LINE", requires = "template")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) line: Option<u32>,

    /// Which unnamed cache block of the line, from 1
    #[arg(long, value_name = "COUNT", requires = "line")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) nth: Option<u32>,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["fragment", "template"]))]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) key: Key,

    /// What NAME and PART are of, if not of a fragment: a value's key, a function's
    /// name, or a view's name and its path
    #[arg(long, value_enum, conflicts_with = "template")]
    pub(crate) kind: Option<Kind>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct Scan {
    /// What the key, with or without the quotes that it is shown with, its name or its template is
    /// to match: * stands for any text, ? for one character, [ab] and {one,two} for one of several
    #[arg(value_name = "PATTERN")]
    pub(crate) pattern: Option<String>,

    /// Only entries of this kind
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").required(true)
    .args(["fragment", "name", "template", "matching"]))]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) key: Key,

    /// Delete everything of this name, of every kind unless --kind says which: fragments whatever
    /// they vary on, results of a function, responses of a view, the value of this key
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Only what is of this kind. Without --name or --matching, NAME and PART are a fragment's
    /// unless this says otherwise: a value's key, a function's name, or a view's name and its path
    #[arg(long, value_enum, conflicts_with = "template")]
    pub(crate) kind: Option<Kind>,

    /// Delete every entry whose key, name or template matches. Reads every entry,
    /// which is slow; what is stored while it runs may be left. Prefer a tag
    #[arg(long, value_name = "PATTERN")]
    pub(crate) matching: Option<String>,

    /// Say how many a pattern matches, and delete nothing
    #[arg(long, requires = "matching", conflicts_with_all = ["fragment", "name", "template"])]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct Invalidate {
    /// The tags
    #[arg(value_name = "TAG", required = true)]
    pub(crate) tags: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct Clear {
    /// Yes, the whole cache
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct Switch {
    /// The mode; without one, the present one is shown
    pub(crate) mode: Option<FleetMode>,

    /// For how long it stands; normal needs no time. 30 days if nothing is said
    #[arg(long = "for", value_name = "TIME", requires = "mode")]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) ttl: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A cache block, or markup that Rust code renders
    Fragment,
    /// A value that was set by its key
    Value,
    /// What a function returned
    Function,
    /// A response to a request
    View,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Fragment => Self::Fragment,
            Kind::Value => Self::Value,
            Kind::Function => Self::Function,
            Kind::View => Self::View,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FleetMode {
    /// Read and store
    Normal,
    /// Serve what is stored, store nothing new
    ReadOnly,
    /// Render everything, read and store nothing
    Bypass,
}

impl From<FleetMode> for CacheMode {
    fn from(mode: FleetMode) -> Self {
        match mode {
            FleetMode::Normal => Self::Normal,
            FleetMode::ReadOnly => Self::ReadOnly,
            FleetMode::Bypass => Self::Bypass,
        }
    }
}
