//! The gateway: its listener, and what the command line asks of it.
//!
//! One thread serves clients where it can (`--workers`, half of the processors): on it nothing has
//! to be woken on another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flywheel_answers::Membership;
use flywheel_answers::{Following, Kept, RuleProblem, Source};
use flywheel_execute::Explained;
use flywheel_postgres::ServerError;
use flywheel_sql::split;
use flywheel_wire::{PgError, sqlstate};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::arrival::connection;
use crate::busy_poll::BusyPoll;
use crate::checking::{TableReport, table_reports};
use crate::figures::Figures;
use crate::options::{Admission, Database, Options};
use crate::reception::Reception;
use crate::shared::{Memory, Shared};
use crate::stage::{Stage, reached};

/// The gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    reception: Arc<Reception>,
    /// It will stop soon.
    ending: Arc<AtomicBool>,
}

impl Gateway {
    /// A gateway that has not listened yet. Contacts nobody.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let options = Arc::new(options);
        let stage = watch::Sender::new(Stage::Serving);
        let busy_poll = Arc::new(BusyPoll::new(options.busy_poll));
        let answers = options.answers();
        let kept = Kept::new(&answers);
        let memory = Memory::new(&options);
        let shared = |database: Option<&Database>| {
            let shared = Shared::new(
                options.clone(),
                database.cloned(),
                stage.clone(),
                busy_poll.clone(),
                kept.as_ref(),
                &answers,
                memory.clone(),
            );
            Arc::new(shared)
        };
        let others = options
            .databases
            .iter()
            .map(|database| (database.name.clone(), shared(Some(database))))
            .collect();
        let reception = Arc::new(Reception::new(&options, shared(None), others));
        Self { reception, ending: Arc::default() }
    }

    fn main(&self) -> &Arc<Shared> {
        &self.reception.main
    }

    /// The databases that are served: the main one, then the others as they are configured.
    fn databases(&self) -> impl Iterator<Item = &Arc<Shared>> {
        self.reception.databases()
    }

    /// What it is doing now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.reception.figures()
    }

    /// Clients that come from now on are let in by these rules. Sessions that have begun go on.
    pub fn admit_by(&self, admission: &Admission) {
        self.reception.admit_by(admission);
    }

    /// Whether clients are served: not any more once [`Self::shut_down`] was called.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        *self.main().stage.borrow() == Stage::Serving
    }

    /// Whether more clients should be sent here: not any more once [`Self::announce_end`] was
    /// called.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_serving() && !self.ending.load(Ordering::Relaxed)
    }

    /// Tells load balancers ([`Self::is_ready`]) that it will stop. Clients are served as before.
    pub fn announce_end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Serves clients until [`Self::shut_down`].
    pub async fn serve(&self, listener: TcpListener) {
        let main = self.main();
        let mut stage = main.stage.subscribe();
        let mut sessions = tokio::task::JoinSet::new();
        let polling = tokio::spawn({
            let busy_poll = main.busy_poll.clone();
            async move { busy_poll.run().await }
        });
        let shareds = std::iter::once(main).chain(self.reception.others.values());
        let caching: Vec<_> = shareds
            .filter_map(|shared| {
                Some(tokio::spawn(shared.caching.clone()?.watch(shared.pool().clone())))
            })
            .collect();
        let shareds = std::iter::once(main).chain(self.reception.others.values());
        let mut watches: Vec<_> =
            shareds.map(|shared| tokio::spawn(shared.clone().watch_code())).collect();
        // Only where there are store tables.
        if !main.stores.catalogue.configured().is_empty() {
            watches.push(tokio::spawn(main.stores.clone().watch_definitions()));
            watches.push(tokio::spawn(main.stores.clone().keep_outbox()));
            watches.push(tokio::spawn(main.stores.clone().keep_reach()));
            watches.push(tokio::spawn(main.stores.clone().keep_locks()));
            watches.push(tokio::spawn(main.stores.clone().keep_steady()));
        }
        // Only where a cache rule needs it.
        if let Some(caching) = main.caching.clone()
            && let Some(follower) = caching.follower().cloned()
        {
            watches.push(tokio::spawn(async move { follower.run(&Following::new(caching)).await }));
        }
        if let Some(caching) = &main.caching {
            let follow = |source: &Arc<Source>| {
                tokio::spawn(source.clone().follow(caching.clone(), main.clone()))
            };
            watches.extend(caching.sources().iter().map(follow));
        }
        // Before it serves anybody: the others must wait for word of what its clients write.
        let sharing = main.caching.as_ref().and_then(|caching| caching.sharing().cloned());
        if let Some(sharing) = &sharing {
            let databases = std::iter::once(main).chain(self.reception.others.values());
            let databases = databases.filter_map(|shared| shared.in_common());
            watches.push(tokio::spawn(Membership::new(sharing.clone(), databases).run()));
            sharing.enter().await;
        }
        loop {
            let accepted = tokio::select! {
                () = reached(Stage::Draining, &mut stage) => break,
                Some(_) = sessions.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    sessions.spawn(connection(self.reception.clone(), stream, peer));
                }
                // Out of file descriptors, most likely: clients that leave make room.
                Err(error) => {
                    tracing::error!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        polling.abort();
        while sessions.join_next().await.is_some() {}
        if *main.stage.borrow() == Stage::Cutting {
            // What they were at may have been done, and nobody knows: the others are to take this
            // gateway for one that has crashed.
            return watches.iter().chain(&caching).for_each(tokio::task::JoinHandle::abort);
        }
        if let Some(sharing) = &sharing {
            sharing.leave().await;
        }
        watches.iter().chain(&caching).for_each(tokio::task::JoinHandle::abort);
        main.stores.tidy_outbox().await;
        main.stores.leave_steady().await;
    }

    /// Stops accepting; sessions end when they are idle outside a transaction block.
    pub fn shut_down(&self) {
        self.main().stage.send_replace(Stage::Draining);
    }

    /// Ends the sessions that are left, whatever they are at. Their clients are told.
    pub fn cut(&self) {
        self.main().stage.send_replace(Stage::Cutting);
    }

    /// Reaches PostgreSQL and reads the definitions of the configured tables. Not needed before
    /// [`Self::serve`], where it happens by itself.
    ///
    /// # Errors
    /// PostgreSQL can't be reached.
    pub async fn connect(&self) -> Result<(), ServerError> {
        let main = self.main();
        main.server_parameters(main.accesses.common()).await.map(drop)
    }

    /// Logs in to PostgreSQL for every further database and every role of a user's own: what for,
    /// and whether it succeeds.
    pub async fn check_logins(&self) -> Vec<(String, Result<(), ServerError>)> {
        let mut reports = Vec::new();
        let options = &self.main().options;
        for shared in self.databases() {
            let database = shared.database.as_ref().map(|database| &database.name);
            if let Some(name) = database {
                reports.push((format!("database {name}"), shared.pool().acquire().await.map(drop)));
            }
            for user in options.admission.users.iter().filter(|user| user.role.is_some()) {
                let access = shared.accesses.of(&user.name);
                let pool = &access.servers().primary.pool;
                let place =
                    database.map_or_else(String::new, |name| format!(" in database {name}"));
                let what = format!("user {}, role {}{place}", user.name, pool.server().user);
                reports.push((what, pool.acquire().await.map(drop)));
            }
        }
        reports
    }

    /// What is wrong with the cache rules, as the databases stand; and which of these couldn't be
    /// asked, and why.
    pub async fn check_cache(&self) -> (Vec<RuleProblem>, Vec<(String, ServerError)>) {
        let (mut problems, mut silent) = (Vec::new(), Vec::new());
        for shared in self.databases() {
            let Some(caching) = shared.caching.as_ref().filter(|caching| caching.names_tables())
            else {
                continue;
            };
            let checked = async {
                let mut lease = shared.pool().acquire_plain().await?;
                caching.check(&mut lease).await
            };
            match checked.await {
                // Another database may have been found to have the same.
                Ok(found) => problems.extend(
                    found
                        .into_iter()
                        .filter(|problem| !problems.contains(problem))
                        .collect::<Vec<_>>(),
                ),
                Err(error) => silent.push((shared.name().to_owned(), error)),
            }
        }
        (problems, silent)
    }

    /// Which tables in stores the cache rules couldn't follow now.
    ///
    /// # Errors
    /// PostgreSQL can't be reached.
    pub async fn check_cached_stores(&self) -> Result<Vec<RuleProblem>, ServerError> {
        let main = self.main();
        let Some(caching) = main.caching.as_ref().filter(|caching| !caching.sources().is_empty())
        else {
            return Ok(Vec::new());
        };
        if !main.stores.catalogue.is_read() {
            let mut lease = main.pool().acquire_plain().await?;
            main.stores.reload(&mut lease).await?;
        }
        Ok(caching.check_sources(&**main).await)
    }

    /// Compares every configured table with PostgreSQL's definition and with its store.
    ///
    /// # Errors
    /// PostgreSQL can't be reached.
    pub async fn check(&self) -> Result<Vec<TableReport>, ServerError> {
        table_reports(self.main()).await
    }

    /// How a statement would be answered.
    ///
    /// # Errors
    /// The statement is refused, or PostgreSQL can't be reached.
    pub async fn explain(&self, sql: &str) -> Result<Explained, PgError> {
        self.connect().await.map_err(|error| error.to_pg())?;
        let analysis = self.main().analyses.of(sql);
        let [_] = &split(sql)[..] else {
            return Err(PgError::error(sqlstate::SYNTAX_ERROR, "give one statement at a time"));
        };
        let mut lease = self.main().pool().acquire_plain().await.map_err(|error| error.to_pg())?;
        self.main().stores.explain(&mut lease, &analysis).await
    }
}
