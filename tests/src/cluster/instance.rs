//! One server of a cluster.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::child::in_time;
use crate::port::free_port;
use crate::tls::Certificate;

/// As small and as quick as can be: what it does isn't to outlive the test.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
shared_buffers = 16MB
fsync = off
full_page_writes = off
timezone = 'UTC'
wal_level = logical
max_prepared_transactions = 5
wal_log_hints = on
hot_standby = on
max_wal_senders = 8
wal_keep_size = 128MB
wal_retrieve_retry_interval = 100ms
wal_receiver_status_interval = 1s
max_standby_streaming_delay = 0
autovacuum = off
";

/// A server, running or stopped. Stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Instance {
    data: PathBuf,
    port: u16,
    runs: bool,
}

impl Instance {
    /// A new, empty server.
    pub(super) async fn create(data: &Path) -> Self {
        let mut initdb = program("initdb");
        initdb.arg("--pgdata").arg(data);
        initdb.args([
            "--username",
            "postgres",
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--locale",
            "C.UTF-8",
            "--no-sync",
        ]);
        well(&mut initdb).await;
        append(data, "pg_hba.conf", "host replication all 127.0.0.1/32 trust\n");
        append(data, "postgresql.conf", SETTINGS);
        Self::started(data).await
    }

    /// A streaming replica of this server.
    pub(super) async fn copy(&self, data: &Path) -> Self {
        let mut copy = program("pg_basebackup");
        copy.arg("--pgdata").arg(data);
        copy.args([
            "--host",
            "127.0.0.1",
            "--username",
            "postgres",
            "--port",
            &self.port.to_string(),
        ]);
        copy.args([
            "--checkpoint",
            "fast",
            "--wal-method",
            "stream",
            "--no-sync",
            "--write-recovery-conf",
        ]);
        well(&mut copy).await;
        Self::started(data).await
    }

    async fn started(data: &Path) -> Self {
        let port = free_port();
        append(data, "postgresql.conf", &format!("port = {port}\n"));
        let mut instance = Self { data: data.to_owned(), port, runs: false };
        instance.start().await;
        instance
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) async fn start(&mut self) {
        let mut start = self.pg_ctl();
        start.arg("--log").arg(self.log());
        start.args(["--wait", "--timeout", "60", "start"]);
        // Noted first: one that starts too late is stopped all the same.
        self.runs = true;
        well(&mut start).await;
    }

    /// `fast` or `immediate`, as pg_ctl knows it.
    pub(super) async fn stop(&mut self, mode: &str) {
        let mut stop = self.pg_ctl();
        stop.args(["--mode", mode, "--wait", "stop"]);
        well(&mut stop).await;
        self.runs = false;
    }

    /// When it is started the next time, it is a replica of the server on this port.
    pub(super) fn follow(&self, port: u16) {
        assert!(!self.runs, "it is stopped");
        append(
            &self.data,
            "postgresql.auto.conf",
            &format!("primary_conninfo = 'host=127.0.0.1 port={port} user=postgres'\n"),
        );
        let signal = self.data.join("standby.signal");
        fs::write(&signal, "").expect("standby.signal");
        self.own(&signal);
    }

    /// When it is started the next time, it shows this certificate, takes those of this authority,
    /// and lets in whom `hba` says.
    pub(super) fn encrypt(&self, shown: &Certificate, authority: &Path, hba: &str) {
        for (name, from) in
            [("server.crt", &*shown.cert), ("server.key", &*shown.key), ("root.crt", authority)]
        {
            let to = self.data.join(name);
            fs::copy(from, &to).expect(name);
            fs::set_permissions(&to, Permissions::from_mode(0o600)).expect(name);
            self.own(&to);
        }
        fs::write(self.data.join("pg_hba.conf"), hba).expect("pg_hba.conf");
        append(&self.data, "postgresql.conf", "ssl = on\nssl_ca_file = 'root.crt'\n");
    }

    /// Lets the server have a file in its folder.
    fn own(&self, file: &Path) {
        let owner = fs::metadata(&self.data).expect("its folder");
        std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())).expect("its owner");
    }

    /// Beside its data, which replicas copy.
    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    fn pg_ctl(&self) -> Command {
        let mut command = program("pg_ctl");
        command.arg("--pgdata").arg(&self.data).arg("--silent");
        command
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if !self.runs {
            return;
        }
        let mut stop = self.pg_ctl();
        let stop = stop.as_std_mut();
        stop.args(["--mode", "immediate", "--wait", "stop"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !stop.status().is_ok_and(|status| status.success()) {
            eprintln!("the PostgreSQL server in {} may still run", self.data.display());
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            eprintln!("--- log of the PostgreSQL server on port {} ---\n{log}---", self.port);
        }
    }
}

/// Lets PostgreSQL's user have a folder: the server refuses to run as root.
pub(super) async fn give_to_postgres(folder: &Path) {
    if is_root() {
        well(Command::new("chown").arg("postgres:").arg(folder)).await;
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// One of PostgreSQL's programs, run as a user that may.
fn program(name: &str) -> Command {
    let path = bin().join(name);
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(path);
        command
    } else {
        Command::new(path)
    };
    command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command
}

/// Where the newest PostgreSQL's programs are, as tests/servers/postgres.sh finds them.
fn bin() -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
    let version =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = installed
        .unwrap_or_default()
        .into_iter()
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(version);
    newest.expect("PostgreSQL's programs in /usr/lib/postgresql").join("bin")
}

/// Runs a program to its end. Its output goes to a file: a server that it starts keeps it open.
async fn well(command: &mut Command) {
    let output = tempfile::NamedTempFile::new().expect("a file");
    let writer = || Stdio::from(output.reopen().expect("the file"));
    let status =
        in_time(command.stdout(writer()).stderr(writer()).status()).await.expect("a program");
    let said = || fs::read_to_string(output.path()).unwrap_or_default();
    assert!(status.success(), "{command:?}: {status}\n{}", said());
}

fn append(data: &Path, name: &str, text: &str) {
    let file = fs::OpenOptions::new().append(true).open(data.join(name));
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect(name);
}
