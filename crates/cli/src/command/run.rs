//! `flywheel`: the gateway itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use flywheel_config::Config;
use flywheel_gateway::Gateway;
use flywheel_metrics::Exporter;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::compose::Parts;
use crate::{cache_rules, embedded};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file. Without one, everything is embedded in this process.
    #[arg(long, short, value_name = "FILE", env = "FLYWHEEL_CONFIG")]
    config: Option<PathBuf>,
    /// The address to listen on, in place of the configured one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Without a configuration: the folder that keeps the data. They are temporary when it is left out.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// How many threads serve clients: half of the processors, unless told otherwise. The servers behind need the other half.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
}

impl Arguments {
    /// What everything runs on.
    pub(crate) fn runtime(&self) -> std::io::Result<Runtime> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut builder = match self.workers.map_or_else(|| processors.div_ceil(2), usize::from) {
            // Without other threads to hand work to, nothing has to be woken on them.
            1 => Builder::new_current_thread(),
            many => {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(many);
                builder
            }
        };
        builder.enable_all().build()
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut config = match &arguments.config {
        Some(path) => match super::load(path) {
            Ok(config) => config,
            Err(code) => return Ok(code),
        },
        None => embedded::config(arguments.data.as_deref())?,
    };
    if let Some(listen) = arguments.listen {
        config.listen = listen;
    }
    serve(&config, arguments.config.as_deref()).await
}

/// `file`: where the configuration is from; `None`: everything is embedded, with a data set.
async fn serve(config: &Config, file: Option<&Path>) -> anyhow::Result<ExitCode> {
    // Taken first: a second Flywheel on the same port must not start servers only to stop them.
    let listener = listen(config.listen).await?;
    let address = listener.local_addr()?;
    let for_metrics = match config.metrics {
        Some(address) => Some(listen(address).await.context("[metrics] listen")?),
        None => None,
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let parts = Parts::start(config).await?;
    let gateway = Gateway::new(parts.options(config)?);
    if let Some(file) = file
        && let Some(report) = cache_rules::refusal(file, config, &gateway).await
    {
        super::print(&report);
        drop(gateway);
        parts.stop().await?;
        return Ok(ExitCode::FAILURE);
    }
    let serving = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.serve(listener).await }
    });
    let exporting = match for_metrics {
        Some(listener) => {
            super::say(&format!("flywheel tells its metrics at http://{}/metrics", listener.local_addr()?));
            let exporter = Exporter::new(gateway.clone(), parts.operations().to_vec());
            Some(tokio::spawn(exporter.serve(listener)))
        }
        None => None,
    };
    if file.is_none() {
        embedded::load_data_set(address, &config.database).await?;
        embedded::print_banner(address, config);
    }
    super::say(&format!("flywheel is listening on {address}"));

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("flywheel is stopping; once more stops it at once");
    gateway.shut_down();
    let grace = tokio::time::sleep(std::time::Duration::from_secs(30));
    tokio::select! {
        _ = serving => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = grace => {}
    }
    if let Some(exporting) = exporting {
        exporting.abort();
        // It has a gateway of its own.
        let _ = exporting.await;
    }
    drop(gateway);
    parts.stop().await?;
    Ok(ExitCode::SUCCESS)
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}"))
}
