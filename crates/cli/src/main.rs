//! The command line: reads the configuration, puts the parts together, runs them.

mod cache_rules;
mod command;
mod compose;
mod embedded;
mod sharing;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use command::{check, explain, run};
use tracing_subscriber::EnvFilter;

/// One PostgreSQL endpoint in front of PostgreSQL, DynamoDB and Redis.
///
/// Without arguments it starts everything in one process, with a small data set to try.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(flatten)]
    run: run::Arguments,
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
}

fn main() -> ExitCode {
    let arguments = CommandLine::parse();
    let filter = EnvFilter::try_from_env("FLYWHEEL_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,flywheel=info,flywheel_gateway=info,dynoxide=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match arguments.run.runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("flywheel: can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match arguments.command {
            None => run::run(arguments.run).await,
            Some(Command::Check(arguments)) => check::check(&arguments).await,
            Some(Command::Explain(arguments)) => explain::explain(&arguments).await,
            Some(Command::Schema) => {
                command::say(&format!("{:#}", flywheel_config::schema()));
                Ok(ExitCode::SUCCESS)
            }
        }
    });
    // A blocking call that still runs, such as a DNS look-up, must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done.unwrap_or_else(|error| {
        eprintln!("flywheel: {error:#}");
        ExitCode::FAILURE
    })
}
