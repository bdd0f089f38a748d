//! `flywheel` with one more kind of store.

use std::process::ExitCode;

use flywheel_csv::CsvKind;

fn main() -> ExitCode {
    flywheel_cli::run(&[flywheel_cli::KINDS, &[&CsvKind]].concat())
}
