//! What the command line can do, a file each.

pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod guide;
pub(crate) mod run;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use flywheel_config::{Config, Report};
use flywheel_kind::Kinds;

/// Prints a line. A reader that has seen enough and gone is no error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The configuration in a file, with secrets from the environment. A file with mistakes is
/// reported, and gives the exit code instead.
pub(crate) fn load(path: &Path, kinds: Kinds<'_>) -> Result<Config, ExitCode> {
    flywheel_config::load(path, &|name| std::env::var(name).ok(), kinds).map_err(|report| {
        print(&report);
        ExitCode::FAILURE
    })
}

/// Prints what is wrong with a file.
pub(crate) fn print(report: &Report) {
    use std::io::IsTerminal;
    eprint!("{}", report.render(std::io::stderr().is_terminal()));
}
