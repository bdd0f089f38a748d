//! Programs of others: `psql`, drivers in other languages, the command line itself.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Long, since a busy machine isn't what these tests measure: only what never ends is meant.
const PATIENCE: Duration = Duration::from_secs(60);

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
    pub fn well(self) -> Self {
        assert!(self.status.success(), "{}\n{}{}", self.status, self.stdout, self.stderr);
        self
    }
}

/// What comes of something that must not hang.
pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("an end")
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
    let output = in_time(child.wait_with_output()).await.expect("its output");
    written.await.expect("its input is written");
    Ran {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `psql` on this database with a script on its standard input, as a person would type it.
pub async fn psql(url: &str, script: &str) -> Ran {
    run_with_input(&mut psql_command(url), script).await
}

/// `psql` on this database, without the settings of who runs the tests.
pub fn psql_command(url: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--dbname", url]);
    without_settings(&mut command);
    command.kill_on_drop(true);
    command
}

/// Takes the settings of who runs the tests from `psql`, or from a shell that runs it.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").env("PAGER", "cat");
}
