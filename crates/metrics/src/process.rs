//! What is known of the process, by the names that Prometheus' own libraries have for it.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use crate::families::Families;

/// This process.
#[derive(Debug)]
pub(crate) struct Process {
    started: SystemTime,
}

impl Process {
    /// One that has just started.
    pub(crate) fn new() -> Self {
        Self { started: SystemTime::now() }
    }
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        families.gauge(
            "process_start_time",
            "When the process started, since the epoch",
            Some(Unit::Seconds),
            [(Vec::new(), started.as_secs_f64())],
        )?;
        families.counter(
            "process_cpu_seconds",
            "Processor time that the process has used",
            processor_time().map(|seconds| (Vec::new(), seconds)),
        )?;
        families.gauge(
            "process_resident_memory",
            "Memory that the process takes",
            Some(Unit::Bytes),
            resident().map(|bytes| (Vec::new(), bytes)),
        )?;
        families.gauge(
            "process_open_fds",
            "File descriptors that are open: one for each client and server connection, and some more",
            None,
            open_files().map(|count| (Vec::new(), count)),
        )?;
        families.gauge(
            "process_max_fds",
            "How many file descriptors may be open",
            None,
            most_files().map(|count| (Vec::new(), count)),
        )
    }
}

/// In bytes. `None` where there is no procfs.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// In seconds. The kernel counts it in hundredths, as processes are told it, on whichever machine
/// (`USER_HZ`).
fn processor_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, in parentheses, is a name with anything in it; time in the process and in
    // the kernel are the 14th and 15th.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_whitespace().skip(11).map_while(|field| field.parse::<f64>().ok());
    Some((times.next()? + times.next()?) / 100.0)
}

fn open_files() -> Option<u64> {
    u64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

fn most_files() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
