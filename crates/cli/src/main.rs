//! `flywheel`

use std::process::ExitCode;

fn main() -> ExitCode {
    flywheel_cli::run(flywheel_cli::KINDS)
}
