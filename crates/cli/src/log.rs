//! The log: one line an event, to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use anyhow::Context;
use flywheel_config::LogFormat;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// What is logged unless somebody says otherwise.
const USUAL: &str = "warn,flywheel=info,flywheel_cli=info,flywheel_gateway=info,flywheel_execute=info,flywheel_answers=info,dynoxide=error";
/// The environment variable that goes before the file.
const VARIABLE: &str = "FLYWHEEL_LOG";

/// The log that has been started.
#[derive(Clone)]
pub(crate) struct Log {
    filter: Arc<reload::Handle<EnvFilter, Registry>>,
}

impl Log {
    /// Begins it.
    ///
    /// # Errors
    /// The filter isn't one.
    pub(crate) fn start(log: &flywheel_config::Log) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(filter(log)?);
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let registry = tracing_subscriber::registry().with(filter);
        match log.format {
            LogFormat::Text => {
                let writer = move || Lines { colours };
                registry.with(fmt::layer().with_ansi(colours).with_writer(writer)).init();
            }
            LogFormat::Json => {
                let layer = fmt::layer().with_ansi(false).event_format(Json);
                registry.with(layer.with_writer(io::stderr)).init();
            }
        }
        Ok(Self { filter: Arc::new(handle) })
    }

    /// Logs what the file says now.
    ///
    /// # Errors
    /// The filter isn't one.
    pub(crate) fn follow(&self, log: &flywheel_config::Log) -> anyhow::Result<()> {
        let filter = filter(log)?;
        self.filter.reload(filter).context("the log has ended")
    }
}

fn filter(log: &flywheel_config::Log) -> anyhow::Result<EnvFilter> {
    match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => {
            let filter = EnvFilter::try_new(&text);
            filter.with_context(|| format!("{VARIABLE} isn't a filter: \"{text}\""))
        }
        _ => {
            let text = log.level.as_deref().unwrap_or(USUAL);
            let filter = EnvFilter::try_new(text);
            filter.with_context(|| format!("`log.level` isn't a filter: \"{text}\""))
        }
    }
}

/// An event as a JSON object in a line.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields(serde_json::Map::new());
        fields.0.insert("timestamp".into(), time.into());
        fields.0.insert("level".into(), event.metadata().level().to_string().into());
        fields.0.insert("target".into(), event.metadata().target().into());
        event.record(&mut fields);
        writeln!(writer, "{}", serde_json::Value::Object(fields.0))
    }
}

/// The fields of an event.
struct Fields(serde_json::Map<String, serde_json::Value>);

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
}

/// Standard error, to which an event is one line whatever is in it: what a client names itself
/// can't look like another event.
struct Lines {
    colours: bool,
}

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        let is_shown = |byte: u8| !byte.is_ascii_control() || (self.colours && byte == 0x1b);
        if line.iter().copied().all(is_shown) {
            io::stderr().write_all(event)?;
            return Ok(event.len());
        }
        let mut escaped = Vec::with_capacity(event.len() + 16);
        for &byte in line {
            if is_shown(byte) {
                escaped.push(byte);
            } else {
                escaped.extend(byte.escape_ascii());
            }
        }
        escaped.push(b'\n');
        io::stderr().write_all(&escaped)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
