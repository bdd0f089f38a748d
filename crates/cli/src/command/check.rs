//! `flywheel check`: whether a configuration, and what it names, is right.

use std::path::PathBuf;
use std::process::ExitCode;

use flywheel_gateway::Gateway;

use crate::compose::Parts;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file.
    file: PathBuf,
    /// Also reach every store, and compare every table there with its definition in PostgreSQL.
    #[arg(long)]
    connect: bool,
}

pub(crate) async fn check(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = match super::load(&arguments.file) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    println!(
        "{}: {} stores, {} tables, {} routes",
        arguments.file.display(),
        config.stores.len(),
        config.tables.len(),
        config.routes.len()
    );
    if !arguments.connect {
        return Ok(ExitCode::SUCCESS);
    }
    let parts = Parts::start(&config).await?;
    let gateway = Gateway::new(parts.options(&config)?);
    let mut well = true;
    for (name, store) in parts.stores() {
        match store.ping().await {
            Ok(()) => println!("store {name}: {} answers", store.kind()),
            Err(error) => {
                well = false;
                println!("store {name}: {error}");
            }
        }
    }
    for (name, problem) in parts.postgres_problems().await {
        match problem {
            None => println!("store {name}: PostgreSQL answers"),
            Some(problem) => {
                well = false;
                println!("store {name}: {problem}");
            }
        }
    }
    match gateway.check().await {
        Err(error) => {
            well = false;
            println!("tables can't be compared: {error}");
        }
        Ok(reports) => {
            for report in reports {
                if report.problems.is_empty() {
                    println!("table {}: fits its home in store {}", report.name, report.store_name);
                }
                for problem in &report.problems {
                    well = false;
                    println!("table {}: {problem}", report.name);
                }
            }
        }
    }
    drop(gateway);
    parts.stop().await?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
