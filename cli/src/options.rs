//! The command line's grammar.

#![allow(clippy::doc_markdown, reason = "these comments are what --help prints")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fragcache::CacheMode;
use fragcache::key::KeyKind;

/// Heading of the options that every command has.
const WHERE: &str = "Which cache, and how";

/// Inspects a shared fragment cache, deletes from it, and switches its mode.
///
/// The store comes from a config file (--config, or the variable FRAGCACHE_CONFIG), whose settings
/// environment variables override, or from --store. It must be a shared store: redis, memcached,
/// sqlite or file.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 pending: the store could not be reached, and the
/// command may not have taken effect.
#[derive(Parser)]
#[command(name = "fragcache", version, propagate_version = false, arg_required_else_help = true)]
#[command(term_width = 100)]
pub(crate) struct Options {
    /// The TOML file with the settings of the cache
    #[arg(long, short, global = true, value_name = "FILE", conflicts_with = "store", help_heading = WHERE)]
    pub(crate) config: Option<PathBuf>,

    /// The store, instead of a config file: redis://HOST:PORT/DB, rediss://…, unix:///PATH,
    /// redis-sentinel://…, redis-cluster://…, memcached://HOST:PORT,HOST:PORT, sqlite:FILE or
    /// file:FOLDER. Put a password into FRAGCACHE_REDIS__PASSWORD: other users can see arguments
    #[arg(long, global = true, value_name = "STORE", help_heading = WHERE)]
    pub(crate) store: Option<String>,

    /// The prefix of all keys of the cache; overrides the settings
    #[arg(long, global = true, value_name = "PREFIX", help_heading = WHERE)]
    pub(crate) prefix: Option<String>,

    /// The prefix of the environment variables that are settings
    #[arg(long, global = true, value_name = "START", default_value = "FRAGCACHE_", help_heading = WHERE)]
    pub(crate) env_prefix: String,

    /// How long to wait for the store; overrides the timeouts in the settings
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", help_heading = WHERE)]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) deadline: Duration,

    /// Print JSON
    #[arg(long, global = true, help_heading = WHERE)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what is in the store, and the state of the store
    ///
    /// Reads every entry, in batches. For a namespace, only entries are counted.
    Stats(Place),
    /// Show a fragment or entries of another kind, or the reason why nothing is served
    ///
    /// Prints the markup of a fragment exactly as stored. Only the application can read the other
    /// kinds: they are listed as by scan. For a function or a view, this reads every entry, which
    /// is slow.
    Get(Get),
    /// List all entries, or those that match a pattern
    ///
    /// Reads every entry, in batches, which is slow. Prints a line for each, with fields separated
    /// by tabs: state, age, time left, bytes in the store, namespace, key, template, kind. A state
    /// other than "servable" is the reason why the entry would not be served. Prints progress to
    /// standard error.
    Scan(Scan),
    /// Check the settings and the store, and measure how fast it answers
    ///
    /// Writes a test record, reads it and deletes it.
    Check,
    /// Delete fragments by key, name or template, or by a pattern
    ///
    /// Every process stops serving them immediately, or within the near_ttl of its settings.
    Delete(Delete),
    /// Delete the entries that have one of these tags
    Invalidate(Invalidate),
    /// Delete everything, or everything in a namespace
    Clear(Clear),
    /// Show or switch the cache mode of all processes
    ///
    /// They follow within two seconds. Invalidations take effect in every mode.
    Mode(Switch),
    /// Remove expired records from a folder
    ///
    /// Other stores than folders remove them by themselves.
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
    /// The name of the fragment, or of an entry of another --kind
    #[arg(value_name = "NAME", conflicts_with = "template")]
    pub(crate) fragment: Option<String>,

    /// What it varies on. A number is the same as its text
    #[arg(value_name = "PART", allow_negative_numbers = true)]
    pub(crate) vary_on: Vec<String>,

    /// What it varies on as a JSON list, for none and for lists: '[42, null, ["a", "b"]]'
    #[arg(long, value_name = "JSON", requires = "fragment", conflicts_with = "vary_on")]
    pub(crate) parts: Option<String>,

    /// The template, by its name in the engine
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) template: Option<String>,

    /// The line of an unnamed cache block in the template
    #[arg(long, value_name = "LINE", requires = "template")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) line: Option<u32>,

    /// Which unnamed cache block on that line, from 1
    #[arg(long, value_name = "COUNT", requires = "line")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) nth: Option<u32>,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["fragment", "template"]))]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) key: Key,

    /// The kind of entry, if not a fragment: NAME and PART are then the key of a value, the name of
    /// a function, or the name and the path of a view
    #[arg(long, value_enum, conflicts_with = "template")]
    pub(crate) kind: Option<Kind>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct Scan {
    /// Matches the key (with or without the quotes that it is shown with), its name or its
    /// template: * stands for any text, ? for one character, [ab] and {one,two} for one of several
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

    /// Delete everything with this name, of every kind unless --kind is given: all variants of a
    /// fragment, the results of a function, the responses of a view, the value with this key
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Only entries of this kind. Without --name or --matching, NAME and PART select a fragment,
    /// unless this names another kind: they are then the key of a value, the name of a function, or
    /// the name and the path of a view
    #[arg(long, value_enum, conflicts_with = "template")]
    pub(crate) kind: Option<Kind>,

    /// Delete every entry whose key, name or template matches. Reads every entry, which is slow;
    /// entries stored while it runs may remain. Prefer a tag
    #[arg(long, value_name = "PATTERN")]
    pub(crate) matching: Option<String>,

    /// Print how many entries match, and delete nothing
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
    /// Confirm that the whole cache is to be cleared
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct Switch {
    /// The new mode; without it, the current mode is shown
    pub(crate) mode: Option<FleetMode>,

    /// How long the mode lasts, 30 days by default; not for normal
    #[arg(long = "for", value_name = "TIME", requires = "mode")]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) ttl: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A cache block, or markup that Rust code renders
    Fragment,
    /// A value that was set under a key
    Value,
    /// The result of a function
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
    /// Serve stored entries, store nothing new
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
