//! `flywheel check`: whether a configuration, and what it names, is right.

use std::path::PathBuf;
use std::process::ExitCode;

use flywheel_config::Report;
use flywheel_gateway::Gateway;
use flywheel_gateway::Reloading;
use flywheel_kind::Kinds;

use super::say;
use crate::cache_rules;
use crate::compose::Parts;
use crate::warnings::warnings;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file.
    file: PathBuf,
    /// Also reach every store, and compare every table there with its definition in PostgreSQL.
    #[arg(long)]
    connect: bool,
}

pub(crate) async fn check(arguments: &Arguments, kinds: Kinds<'_>) -> anyhow::Result<ExitCode> {
    let config = match super::load(&arguments.file, kinds) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    say(&format!(
        "{}: {} stores, {} tables, {} routes",
        arguments.file.display(),
        config.stores.len(),
        config.tables.len(),
        config.routes.len()
    ));
    for warning in warnings(&config) {
        say(&format!("warning: {warning}"));
    }
    if !arguments.connect {
        return Ok(ExitCode::SUCCESS);
    }
    let parts = Parts::start(&config).await?;
    let gateway = Gateway::new(parts.options(&config, Reloading::new().0)?);
    let mut well = true;
    for (name, store) in parts.stores() {
        match store.ping().await {
            Ok(()) => say(&format!("store {name}: {} answers", store.kind())),
            Err(error) => {
                well = false;
                say(&format!("store {name}: {error}"));
            }
        }
    }
    let name = &config.primary;
    for (host, answer) in parts.postgres_report().await {
        match answer {
            Ok(answer) => say(&format!("store {name} ({host}): {answer}")),
            Err(problem) => {
                well = false;
                say(&format!("store {name} ({host}): {problem}"));
            }
        }
    }
    for (login, outcome) in gateway.check_logins().await {
        match outcome {
            Ok(()) => say(&format!("{login}: PostgreSQL answers")),
            Err(error) => {
                well = false;
                say(&format!("{login}: {}", error.to_pg().message()));
            }
        }
    }
    match gateway.check().await {
        Err(_) if parts.catalogue_problem().await.is_some() => {
            well = false;
            say("the tables can't be compared without PostgreSQL's definitions");
        }
        Err(error) => {
            well = false;
            say(&format!("the tables can't be compared: {error}"));
        }
        Ok(reports) => {
            for report in reports {
                if report.problems.is_empty() {
                    say(&format!(
                        "table {}: fits its home in store {}",
                        report.name, report.store_name
                    ));
                }
                for warning in &report.given_up {
                    say(&format!(
                        "table {}: {warning}, since `drop_constraints` is set",
                        report.name
                    ));
                }
                for problem in &report.problems {
                    well = false;
                    say(&format!("table {}: {problem}", report.name));
                }
            }
        }
    }
    // A server that can't be reached has been told already.
    let (mut problems, _) = gateway.check_cache().await;
    problems.extend(gateway.check_cached_stores().await.unwrap_or_default());
    let diagnostics: Vec<_> =
        problems.iter().map(|problem| cache_rules::diagnostic(problem, &config.cache)).collect();
    let report = Report::of_file(&arguments.file, diagnostics);
    for mistake in report.diagnostics() {
        well = false;
        let (line, column) = report.position(mistake);
        say(&format!("{}:{line}:{column}: {}", arguments.file.display(), mistake.message));
    }
    drop(gateway);
    parts.stop().await?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
