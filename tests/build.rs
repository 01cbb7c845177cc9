//! The recipe for templates embedded at build time: cache blocks are rewritten into cargo's output
//! folder, and `minijinja-embed` embeds the result.

use std::error::Error;
use std::path::Path;

use fragcache_syntax::{Syntax, rewrite_folder};

const TEMPLATES: &str = "../fixtures/recipes/embedded";

fn main() -> Result<(), Box<dyn Error>> {
    let lowered = Path::new(&std::env::var("OUT_DIR")?).join("templates");
    rewrite_folder(TEMPLATES, &lowered, &Syntax::minijinja(), |_| true)?;
    let lowered = lowered.to_str().ok_or("the folder's path is no text")?;
    embed(lowered);
    Ok(())
}

#[allow(clippy::unwrap_used, clippy::print_stdout, reason = "how the macro and cargo work")]
fn embed(lowered: &str) {
    minijinja_embed::embed_templates!(lowered);
    println!("cargo::rerun-if-changed={TEMPLATES}");
}
