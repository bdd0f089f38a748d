//! A running gateway.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::flywheel;

const READY: &str = "listening on ";
/// Long, since a start on a busy machine isn't what these tests measure.
const PATIENCE: Duration = Duration::from_secs(120);

/// A `flywheel` process. Killed when this is dropped; its log is printed when the test has failed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: String,
    log: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `flywheel` and waits until it listens.
    pub async fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::of(flywheel(), arguments).await
    }

    /// Starts a program that is `flywheel` with further kinds of stores.
    pub async fn of<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("flywheel starts");
        let log = Arc::default();
        let readers = vec![
            keep(child.stdout.take().expect("its output"), &log),
            keep(child.stderr.take().expect("its errors"), &log),
        ];
        let mut process = Self { child, address: String::new(), log, readers };
        process.address =
            tokio::time::timeout(PATIENCE, process.ready()).await.expect("flywheel listens");
        process
    }

    async fn ready(&mut self) -> String {
        loop {
            if let Some(address) = self.log().iter().find_map(|line| listening(line)) {
                return address;
            }
            if let Some(status) = self.child.try_wait().expect("its status") {
                panic!("flywheel has ended ({status}) before it listened");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How much memory it has, in MB.
    pub fn memory(&self) -> usize {
        self.status("VmRSS")
    }

    /// The most that it has had since its start or the last [`Self::forget_peak`], in MB.
    pub fn peak_memory(&self) -> usize {
        self.status("VmHWM")
    }

    /// The most that it has had is what it has now.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").expect("its clear_refs");
    }

    fn status(&self, field: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes.expect("a size").parse::<usize>().expect("a number") / 1024
    }

    /// What it has printed until now, by lines.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("the log").clone()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its status").is_none()
    }

    /// Asks it to end, as `kill` does, and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.end_by("-TERM").await
    }

    /// Asks it to end, as Ctrl-C does, and waits until it has.
    pub async fn interrupt(&mut self) -> ExitStatus {
        self.end_by("-INT").await
    }

    /// Ends it at once, as a crash does, and waits until it has.
    pub async fn kill(&mut self) -> ExitStatus {
        self.end_by("-KILL").await
    }

    async fn end_by(&mut self, signal: &str) -> ExitStatus {
        let asked = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "kill {signal}");
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("its status") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("flywheel ends when asked to")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        if std::thread::panicking() {
            eprintln!("--- flywheel's log ---\n{}\n---", self.log().join("\n"));
        }
    }
}

/// The address in a line that tells it.
fn listening(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(READY)?;
    let address: String = rest.chars().take_while(|c| !c.is_whitespace() && *c != ',').collect();
    Some(address)
}

fn keep(output: impl Read + Send + 'static, log: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let log = log.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            log.lock().expect("the log").push(line);
        }
    })
}
