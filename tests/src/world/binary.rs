//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `flywheel` binary beside this test's; built when it isn't there. `./test` builds it anew
/// before it runs the tests.
pub fn flywheel() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| binary("flywheel", "flywheel"))
}

/// The same program with CSV files as one more kind of store.
pub fn flywheel_with_csv() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| binary("flywheel-with-csv", "flywheel-csv"))
}

fn binary(name: &str, package: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test's path");
    // target/debug/deps/e2e-…
    let profile = test.ancestors().nth(2).expect("a target folder");
    let binary = profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !binary.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-p", package]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo").success(), "{package} doesn't build");
    }
    binary
}
