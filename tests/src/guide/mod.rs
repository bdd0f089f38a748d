//! Runs the snippets of a Markdown text as its reader would, from the first to the last.
//!
//! | fence | what is done with it |
//! | --- | --- |
//! | `toml` | `flywheel check` takes it, completed by what a whole file needs |
//! | `toml gateway` | becomes `flywheel.toml`, with fresh databases behind it |
//! | `toml add` | is appended to `flywheel.toml`; the gateway that runs doesn't know of it |
//! | `sql` | psql runs it against the gateway, which is started if it doesn't run |
//! | `sql past` | psql runs it in the database behind the gateway |
//! | `sql embedded` | psql runs it against `flywheel` without a configuration |
//! | `output` | what the fence before it prints, errors last. Without one, no SQL may fail |
//! | `sh` | a shell runs it, where `flywheel.toml` is; `flywheel --config FILE` starts the gateway anew |
//! | `sh,ignore` | isn't run: cargo would build for minutes |
//! | `text`, `yaml` | isn't run |
//!
//! With `FLYWHEEL_GUIDE_WRITE=1` what is printed is written into the text.

mod configuration;
mod fence;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::child::{psql, run, without_settings};
use crate::world::{Database, Process, Servers, flywheel, unique_name};
use configuration::{PASSWORD, Places};
use fence::Fence;

/// Runs all snippets of the text in this file.
///
/// # Panics
/// A snippet doesn't do what the text says.
pub async fn follow(file: &Path) {
    let Some(servers) = Servers::from_environment() else { return };
    let text = std::fs::read_to_string(file).expect("the text");
    let mut reader = Reader::new(&servers).await;
    let fences = fence::fences(&text);
    let mut shown: Vec<(&Fence, String)> = Vec::new();
    for (position, fence) in fences.iter().enumerate() {
        let place = format!("{}:{}", file.display(), fence.line);
        let output = fences.get(position + 1).filter(|next| next.kind().0 == "output");
        match fence.kind() {
            ("toml", "gateway") => reader.begin(&place, &fence.text).await,
            ("toml", "add") => reader.add(&place, &fence.text).await,
            ("toml", "") => reader.check(&place, &fence.text).await,
            ("sql", whither) => {
                let url = reader.url(whither).await;
                let printed = sql(&place, &url, &fence.text, output.is_some()).await;
                shown.extend(output.map(|output| (output, printed)));
            }
            ("sh", "") => {
                let printed = reader.sh(&place, &fence.text).await;
                shown.extend(output.map(|output| (output, printed)));
            }
            ("sh", "ignore") => assert!(fence.text.starts_with("cargo "), "{place}: it can be run"),
            ("output" | "text" | "yaml", "") => {}
            other => panic!("{place}: an unknown fence: {other:?}"),
        }
    }
    if std::env::var_os("FLYWHEEL_GUIDE_WRITE").is_some() {
        return write(file, &text, &shown);
    }
    for (output, printed) in shown {
        let place = format!("{}:{}", file.display(), output.line);
        assert_eq!(trimmed(&output.text), printed, "{place}");
    }
}

/// Who follows a text.
struct Reader {
    // In the order in which they must go.
    gateway: Option<Process>,
    embedded: Option<Process>,
    database: Database,
    folder: TempDir,
    servers: Servers,
    places: Places,
    /// `flywheel.toml` as the text shows it.
    shown: String,
}

impl Reader {
    async fn new(servers: &Servers) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("analyst.password"), PASSWORD).expect("a file");
        let name = unique_name();
        let database = Database::create(&servers.postgres, &name).await;
        let places = Places {
            postgres: database.url().to_owned(),
            redis: redis(servers).await,
            dynamodb: servers.dynamodb.first().cloned().unwrap_or_default(),
            access_key: name.replace('_', ""),
        };
        let servers = servers.clone();
        let shown = String::new();
        Self { gateway: None, embedded: None, database, folder, servers, places, shown }
    }

    /// A new file, and an empty database.
    async fn begin(&mut self, place: &str, text: &str) {
        self.gateway = None;
        self.database = Database::create(&self.servers.postgres, &unique_name()).await;
        self.places.postgres = self.database.url().to_owned();
        self.shown = String::new();
        self.add(place, text).await;
    }

    async fn add(&mut self, place: &str, text: &str) {
        self.shown.push_str(text);
        self.check(place, &self.shown).await;
        let file = self.folder.path().join("flywheel.toml");
        std::fs::write(file, configuration::real(&self.shown, &self.places)).expect("a file");
    }

    async fn check(&self, place: &str, text: &str) {
        let file = self.folder.path().join("part.toml");
        std::fs::write(&file, configuration::completed(text)).expect("a file");
        let mut command = Command::new(flywheel());
        command.arg("check").arg(&file).env("NO_COLOR", "1");
        for name in configuration::variables(text) {
            command.env(name, PASSWORD);
        }
        let ran = run(&mut command).await;
        assert!(ran.status.success(), "{place}: {}", ran.stderr);
    }

    async fn start(&mut self, file: &str) {
        // The one before has to go first: it has the port, in the reader's world.
        if let Some(mut gateway) = self.gateway.take() {
            gateway.terminate().await;
        }
        let file = self.folder.path().join(file);
        let gateway = Process::start(["--config".as_ref(), file.as_os_str()]).await;
        self.gateway = Some(gateway);
    }

    async fn address(&mut self) -> String {
        if self.gateway.is_none() {
            self.start("flywheel.toml").await;
        }
        self.gateway.as_ref().map(|gateway| gateway.address().to_owned()).unwrap_or_default()
    }

    async fn url(&mut self, whither: &str) -> String {
        match whither {
            "" => format!("postgres://app:{PASSWORD}@{}/app", self.address().await),
            "past" => self.places.postgres.clone(),
            "embedded" => {
                if self.embedded.is_none() {
                    self.embedded = Some(Process::start(["--listen", "127.0.0.1:0"]).await);
                }
                let address = self.embedded.as_ref().map(Process::address).unwrap_or_default();
                format!("postgres://flywheel@{address}/flywheel")
            }
            other => panic!("sql {other}"),
        }
    }

    async fn sh(&mut self, place: &str, text: &str) -> String {
        let (mut script, mut printed) = (String::new(), String::new());
        for line in text.lines() {
            if let Some(file) = line.strip_prefix("flywheel --config ") {
                printed += &self.run_script(place, &std::mem::take(&mut script)).await;
                self.start(file).await;
            } else {
                script.push_str(line);
                script.push('\n');
            }
        }
        printed += &self.run_script(place, &script).await;
        trimmed(&printed)
    }

    async fn run_script(&mut self, place: &str, script: &str) -> String {
        if script.is_empty() {
            return String::new();
        }
        let address = self.address().await;
        let (_, port) = address.rsplit_once(':').expect("a port");
        let log = self.gateway.as_ref().map(Process::log).unwrap_or_default();
        let metrics = log.iter().find_map(|line| line.split_once("metrics at http://"));
        let metrics = metrics.and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
        let script = script
            .replace("-p 6432", &format!("-p {port}"))
            .replace("127.0.0.1:9930", metrics)
            .replace("psql ", "psql -X -v ON_ERROR_STOP=1 ");
        let program = flywheel().parent().expect("its folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        without_settings(&mut command);
        command
            .args(["-eu", "-c", &script])
            .current_dir(self.folder.path())
            .env("PATH", format!("{program}:{path}"))
            .env("PGPASSWORD", PASSWORD)
            .env_remove("FLYWHEEL_CONFIG");
        let ran = run(&mut command).await;
        assert!(ran.status.success(), "{place}:\n{script}\n{}{}", ran.stdout, ran.stderr);
        ran.stdout + &ran.stderr
    }
}

/// What psql prints.
async fn sql(place: &str, url: &str, text: &str, may_fail: bool) -> String {
    let stop = if may_fail { "" } else { "\\set ON_ERROR_STOP on\n" };
    let ran = psql(url, &format!("\\set QUIET on\n{stop}{text}")).await;
    assert!(may_fail || ran.status.success(), "{place}: {}", ran.stderr);
    trimmed(&format!("{}{}", ran.stdout, ran.stderr))
}

/// Without spaces at the ends of lines, which editors remove.
fn trimmed(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}

fn write(file: &Path, text: &str, shown: &[(&Fence, String)]) {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    for (output, printed) in shown.iter().rev() {
        let length = output.text.lines().count();
        lines.splice(output.line..output.line + length, printed.lines().map(str::to_owned));
    }
    std::fs::write(file, lines.join("\n") + "\n").expect("the text");
}

/// An empty database of Redis for a text of its own: outputs name keys, so no prefix can keep
/// texts apart.
async fn redis(servers: &Servers) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let Some(url) = &servers.redis else { return String::new() };
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < 16, "Redis has no further database");
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.expect("Redis");
    let commands = format!("SELECT {number}\r\nFLUSHDB\r\nQUIT\r\n");
    stream.write_all(commands.as_bytes()).await.expect("a command");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(!answer.contains('-'), "{answer}");
    format!("redis://{address}/{number}")
}
