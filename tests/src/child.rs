//! Programs of others: `psql`, drivers in other languages, the command line itself.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Long, since a busy machine isn't what these tests measure: only a program that never ends is meant.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a program has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// Its output.
    pub stdout: String,
    /// Its errors.
    pub stderr: String,
}

impl Ran {
    /// Asserts that it ended well.
    #[must_use]
    pub fn well(self) -> Self {
        assert!(self.status.success(), "{}\n{}{}", self.status, self.stdout, self.stderr);
        self
    }
}

/// Runs a program to its end.
pub async fn run(command: &mut Command) -> Ran {
    run_with_input(command, "").await
}

/// Runs a program to its end, with this on its standard input.
pub async fn run_with_input(command: &mut Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("its input");
    let input = input.to_owned();
    let written = tokio::spawn(async move {
        // A program that ends before it has read all says so itself.
        let _ = stdin.write_all(input.as_bytes()).await;
    });
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.expect("the program ends").expect("its output");
    written.await.expect("its input is written");
    Ran {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `psql` on this database with a script on its standard input, as a person would type it, without the settings of who runs the tests.
pub async fn psql(url: &str, script: &str) -> Ran {
    psql_with(url, &[] as &[&str], script).await
}

/// [`psql`] with options.
pub async fn psql_with<A: AsRef<OsStr>>(url: &str, options: &[A], script: &str) -> Ran {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--dbname", url]).args(options);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").env("PAGER", "cat");
    run_with_input(&mut command, script).await
}
