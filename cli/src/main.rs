//! `fragcache`, the administrator's tool: inspects the store behind a cache, deletes from it, and
//! switches the mode of all processes that share it. The operations are in `fragcache::admin`; this
//! crate is the command line. `options` defines the arguments, `open` opens the cache, `look` and
//! `change` are the commands, `say` does all output.

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
    // Exits with code 2 on invalid arguments.
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
