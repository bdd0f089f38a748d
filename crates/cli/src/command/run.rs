//! `flywheel`: the gateway itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use flywheel_config::Config;
use flywheel_gateway::{Gateway, ReloadRequests, Reloading};
use flywheel_kind::Kinds;
use flywheel_metrics::Exporter;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::compose::Parts;
use crate::log::Log;
use crate::reload::Reload;
use crate::warnings::warnings;
use crate::{cache_rules, embedded};

/// The exit code where sessions had to be cut.
const CUT: u8 = 3;
/// How long cutting them may take.
const FAREWELL: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file. Without one, everything is embedded in this process.
    #[arg(long, short, value_name = "FILE", env = "FLYWHEEL_CONFIG")]
    config: Option<PathBuf>,
    /// The address to listen on, in place of the configured one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Without a configuration: the folder that keeps the data. They are temporary when it is left
    /// out.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// How many threads serve clients: half of the processors, unless told otherwise. The servers
    /// behind need the other half.
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

pub(crate) async fn run(arguments: Arguments, kinds: Kinds<'_>) -> anyhow::Result<ExitCode> {
    let mut config = match &arguments.config {
        Some(path) => match super::load(path, kinds) {
            Ok(config) => config,
            Err(code) => return Ok(code),
        },
        None => embedded::config(arguments.data.as_deref(), kinds)?,
    };
    if let Some(listen) = arguments.listen {
        config.listen = listen;
    }
    let log = Log::start(&config.log)?;
    let (reloading, requests) = Reloading::new();
    let reload = arguments.config.as_deref().map(|file| Reload::new(file, kinds, log));
    let program = Program { listens_at: arguments.listen, reload, requests };
    serve(config, arguments.config.as_deref(), program, reloading).await
}

/// What the program itself hears of while the gateway runs.
struct Program<'k> {
    /// The address in place of the configured one.
    listens_at: Option<SocketAddr>,
    /// The file; `None`: there is none.
    reload: Option<Reload<'k>>,
    requests: ReloadRequests,
}

/// What ends the gateway, or has its configuration read anew.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The gateway is to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// `file`: where the configuration is from; `None`: everything is embedded, with a data set.
async fn serve(
    mut config: Config,
    file: Option<&Path>,
    mut program: Program<'_>,
    reloading: Reloading,
) -> anyhow::Result<ExitCode> {
    // Taken first: a second Flywheel on the same port must not start servers only to stop them.
    let listener = listen(config.listen).await?;
    let address = listener.local_addr()?;
    let for_metrics = match config.metrics {
        Some(address) => Some(listen_beside(address).context("[metrics] listen")?),
        None => None,
    };
    let mut signals = Signals::new()?;

    let parts = Parts::start(&config).await?;
    let gateway = Gateway::new(parts.options(&config, reloading)?);
    if let Some(file) = file
        && let Some(report) = cache_rules::refusal(file, &config, &gateway).await
    {
        super::print(&report);
        drop(gateway);
        parts.stop().await?;
        return Ok(ExitCode::FAILURE);
    }
    for warning in warnings(&config) {
        tracing::warn!("{warning}");
    }
    let mut serving = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.serve(listener).await }
    });
    let exporting = match for_metrics {
        Some(listener) => {
            super::say(&format!(
                "flywheel tells its metrics at http://{}/metrics",
                listener.local_addr()?
            ));
            let exporter = Exporter::new(gateway.clone(), parts.operations().to_vec());
            Some(tokio::spawn(exporter.serve(listener)))
        }
        None => None,
    };
    if file.is_none() {
        embedded::load_data_set(address, &config.database).await?;
        embedded::print_banner(address, &config);
    }
    super::say(&format!("flywheel is listening on {address}"));

    program.until_stopped(&mut signals, &mut config, &gateway, &parts).await;
    eprintln!("flywheel is stopping; once more stops it at once");
    let drained = drain(&gateway, &config, &mut signals, &mut serving).await;
    if let Some(exporting) = exporting {
        exporting.abort();
        // It has a gateway of its own.
        let _ = exporting.await;
    }
    if !drained {
        cut(&gateway, &mut signals, serving).await;
    }
    drop(gateway);
    parts.stop().await?;
    Ok(if drained { ExitCode::SUCCESS } else { ExitCode::from(CUT) })
}

impl Program<'_> {
    /// Returns when the gateway is to stop. Until then its configuration is read anew as often as
    /// somebody asks for it.
    async fn until_stopped(
        &mut self,
        signals: &mut Signals,
        config: &mut Config,
        gateway: &Gateway,
        parts: &Parts,
    ) {
        loop {
            let asking = tokio::select! {
                _ = signals.interrupt.recv() => return,
                _ = signals.terminate.recv() => return,
                _ = signals.hangup.recv() => None,
                asking = self.requests.next() => Some(asking),
            };
            let Some(reload) = &mut self.reload else {
                tracing::warn!("there is no configuration file that could be read anew");
                continue;
            };
            let reloaded = reload.now(config, gateway, parts.servers()).await;
            if let Some(listen) = self.listens_at {
                config.listen = listen;
            }
            if reloaded.is_ok() {
                for warning in warnings(config) {
                    tracing::warn!("{warning}");
                }
            }
            if let Some(asking) = asking {
                // Whoever has asked may have gone.
                let _ = asking.send(reloaded);
            }
        }
    }
}

/// Ends the sessions; whether all have ended by themselves.
async fn drain(
    gateway: &Gateway,
    config: &Config,
    signals: &mut Signals,
    serving: &mut JoinHandle<()>,
) -> bool {
    gateway.announce_end();
    if !config.limits.drain_delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(config.limits.drain_delay) => {}
            () = signals.stop() => return false,
        }
    }
    gateway.shut_down();
    tokio::select! {
        _ = serving => true,
        () = signals.stop() => false,
        () = tokio::time::sleep(config.limits.drain_timeout) => {
            tracing::warn!(
                sessions = gateway.figures().clients.connected,
                "sessions that haven't ended within `limits.drain_timeout` are cut"
            );
            false
        }
    }
}

/// Ends the sessions that are left; their clients are told.
async fn cut(gateway: &Gateway, signals: &mut Signals, mut serving: JoinHandle<()>) {
    gateway.cut();
    tokio::select! {
        _ = &mut serving => return,
        () = signals.stop() => {}
        () = tokio::time::sleep(FAREWELL) => {}
    }
    serving.abort();
    let _ = serving.await;
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))
}

/// Listens where another process of the same user may listen still: one that is about to stop
/// tells until it has how far it is.
fn listen_beside(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        socket.listen(128)
    };
    bind().with_context(|| format!("can't listen on {address}"))
}
