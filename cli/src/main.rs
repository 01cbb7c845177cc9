//! `fragcache`, the administrator's tool: looks into the store behind a cache, deletes from it, and
//! switches all processes that share it. What it does is in `fragcache::admin`; here are its words.
//! `options` is what may be written, `open` finds the cache, `look` and `change` are the commands,
//! `say` is all output.

#![forbid(unsafe_code)]

mod change;
mod keys;
mod look;
mod open;
mod options;
mod say;

use std::process::ExitCode;

use clap::Parser;

use open::Opened;
use options::{Command, Options};
use say::{Say, Stop};

fn main() -> ExitCode {
    // Mistakes in the arguments end here, by code 2.
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.tell(),
    }
}

fn run(options: &Options) -> Result<(), Stop> {
    let mut say = Say::new(options.json);
    change::refuse_before(&options.command)?;
    let opened = Opened::new(options)?;
    match &options.command {
        Command::Stats(place) => look::stats(&opened, place, &mut say),
        Command::Get(wanted) => look::get(&opened, wanted, &mut say),
        Command::Scan(scan) => look::scan(&opened, scan, &mut say),
        Command::Check => look::check(&opened, &mut say),
        Command::Delete(delete) => change::delete(&opened, delete, &mut say),
        Command::Invalidate(tags) => change::invalidate(&opened, tags, &mut say),
        Command::Clear(clear) => change::clear(&opened, clear, &mut say),
        Command::Mode(mode) => change::mode(&opened, mode, &mut say),
        Command::Sweep => change::sweep(&opened, &mut say),
    }
}
