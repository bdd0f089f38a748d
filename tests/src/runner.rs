//! Clients whose statements may wait for each other's locks: what each step brought, and whether it
//! waits, for comparing who waits for whom in two servers.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::child::in_time;
use crate::world::column;

/// How often, and how long each time, is looked whether it waits.
const LOOKS: usize = 3;
const LOOK: Duration = Duration::from_millis(4);
const WAITS: &str = "SELECT count(DISTINCT pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
     WHERE NOT granted AND a.datname = current_database()";

/// What a step brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Rows, sorted, and then how many rows each statement was about.
    Rows(Vec<String>),
    /// An error's SQLSTATE.
    Failed(String),
    /// Nothing yet: it waits.
    Waits,
}

type Running = JoinHandle<(Client, Result<Vec<String>, String>)>;

/// A client that runs one statement at a time, maybe still.
#[derive(Debug)]
pub enum Runner {
    /// It runs none.
    Free(Client),
    /// Its statement hasn't ended.
    Busy(Running),
    /// It has failed a test.
    Gone,
}

impl Runner {
    /// Whether its statement hasn't been answered.
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }

    /// Begins a step. It waits when PostgreSQL says that more than `before` do; `behind` asks in
    /// the database that the locks are in.
    ///
    /// # Panics
    /// The step before it hasn't ended.
    pub async fn step(&mut self, sql: &str, behind: &Client, before: usize) -> Outcome {
        let Self::Free(client) = std::mem::replace(self, Self::Gone) else {
            panic!("{sql}: it waits")
        };
        *self = Self::Busy(tokio::spawn(run(client, sql.to_owned())));
        self.look_beside(behind, before).await
    }

    /// The answer for which a step has waited, or that it waits still.
    ///
    /// # Panics
    /// It doesn't wait.
    pub async fn look(&mut self, behind: &Client) -> Outcome {
        self.look_beside(behind, 0).await
    }

    async fn look_beside(&mut self, behind: &Client, before: usize) -> Outcome {
        let Self::Busy(mut running) = std::mem::replace(self, Self::Gone) else {
            panic!("nothing waits")
        };
        // Who waits for a moment only isn't one that waits.
        let mut looks = 0;
        while looks < LOOKS {
            if let Ok(done) = timeout(LOOK, &mut running).await {
                return self.take(done.expect("a statement"));
            }
            let waiting: usize = column(behind, WAITS).await[0].parse().expect("a number");
            looks = if waiting > before { looks + 1 } else { 0 };
        }
        *self = Self::Busy(running);
        Outcome::Waits
    }

    /// The answer for which a step has waited.
    ///
    /// # Panics
    /// It doesn't wait, or never ends.
    pub async fn end(&mut self) -> Outcome {
        let Self::Busy(running) = std::mem::replace(self, Self::Gone) else {
            panic!("nothing waits")
        };
        self.take(in_time(running).await.expect("a statement"))
    }

    fn take(&mut self, (client, done): (Client, Result<Vec<String>, String>)) -> Outcome {
        *self = Self::Free(client);
        done.map_or_else(Outcome::Failed, Outcome::Rows)
    }
}

/// Statements by the simple protocol: their rows, or the error's SQLSTATE.
pub async fn run(client: Client, sql: String) -> (Client, Result<Vec<String>, String>) {
    let done = client.simple_query(&sql).await;
    let rows = done.map(|messages| {
        let mut rows = Vec::new();
        let mut counts = Vec::new();
        for message in &messages {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let values = (0..row.len()).map(|place| row.get(place).unwrap_or("NULL"));
                    rows.push(values.collect::<Vec<_>>().join("="));
                }
                SimpleQueryMessage::CommandComplete(count) => counts.push(format!("{count} rows")),
                _ => {}
            }
        }
        rows.sort();
        rows.extend(counts);
        rows
    });
    (client, rows.map_err(|error| error.code().map_or("?", SqlState::code).to_owned()))
}
