//! The command line: reads the configuration, puts the parts together, runs them.
//!
//! A kind of store is registered by a line in [`KINDS`]. A program with further kinds calls
//! [`run`] with a list of its own.

mod admission;
mod cache_rules;
mod command;
mod compose;
mod embedded;
mod encryption;
mod log;
mod reload;
mod sharing;
mod warnings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use command::{check, explain, guide};
use flywheel_dynamodb::DynamoKind;
use flywheel_embedded::EmbeddedDynamoKind;
use flywheel_kind::Kinds;
use flywheel_memory::MemoryKind;
use flywheel_redis::RedisKind;

/// The kinds of stores that can be home to tables, in the order in which users read of them.
pub const KINDS: Kinds<'static> = &[&DynamoKind, &RedisKind, &MemoryKind, &EmbeddedDynamoKind];

/// One PostgreSQL endpoint in front of PostgreSQL, DynamoDB and Redis.
///
/// Without arguments it starts everything in one process, with a small data set to try.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(flatten)]
    run: command::run::Arguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks a configuration file and reports every mistake in it.
    Check(check::Arguments),
    /// Prints how a statement would be answered.
    Explain(explain::Arguments),
    /// Prints the JSON schema of the configuration file.
    Schema,
    /// Prints a chapter of the guide, or lists the chapters.
    Guide(guide::Arguments),
}

/// Does what the process' arguments ask for, with stores of these kinds.
#[must_use]
pub fn run(kinds: Kinds<'_>) -> ExitCode {
    let arguments = CommandLine::parse();
    // The gateway itself logs as its file says, and begins when it has read that.
    if arguments.command.is_some()
        && let Err(error) = log::Log::start(&flywheel_config::Log::default())
    {
        eprintln!("flywheel: {error:#}");
        return ExitCode::FAILURE;
    }
    let runtime = match arguments.run.runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("flywheel: can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match arguments.command {
            None => command::run::run(arguments.run, kinds).await,
            Some(Command::Check(arguments)) => check::check(&arguments, kinds).await,
            Some(Command::Explain(arguments)) => explain::explain(&arguments, kinds).await,
            Some(Command::Schema) => {
                command::say(&format!("{:#}", flywheel_config::schema(kinds)));
                Ok(ExitCode::SUCCESS)
            }
            Some(Command::Guide(arguments)) => Ok(guide::guide(&arguments)),
        }
    });
    // A blocking call that still runs, such as a DNS look-up, must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done.unwrap_or_else(|error| {
        eprintln!("flywheel: {error:#}");
        ExitCode::FAILURE
    })
}
