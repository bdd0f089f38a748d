//! `flywheel explain`: how a statement would be answered.

use std::path::PathBuf;
use std::process::ExitCode;

use flywheel_gateway::Reloading;
use flywheel_gateway::{Explained, Gateway};
use flywheel_kind::Kinds;

use super::say;
use crate::compose::Parts;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", env = "FLYWHEEL_CONFIG")]
    config: PathBuf,
    /// The statement.
    sql: String,
}

pub(crate) async fn explain(arguments: &Arguments, kinds: Kinds<'_>) -> anyhow::Result<ExitCode> {
    let config = match super::load(&arguments.config, kinds) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let parts = Parts::start(&config).await?;
    let gateway = Gateway::new(parts.options(&config, Reloading::new().0)?);
    let explained = gateway.explain(&arguments.sql).await;
    drop(gateway);
    parts.stop().await?;
    match explained {
        Ok(Explained::Relay) => {
            say(&format!("Relay: PostgreSQL (store \"{}\") answers the statement", config.primary))
        }
        Ok(Explained::Plan(lines)) => say(&lines.join("\n")),
        Err(error) => {
            eprintln!("{error}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
