//! COMMIT of a block that has written to store tables. See [`crate::transaction`] for the order of
//! things and why.
//!
//! One store alone needs no outbox: where the block has written to one store only and
//! `txid_current_if_assigned()` is NULL when PostgreSQL has checked all constraints, the store's
//! own atomic write is the commit; PostgreSQL's follows, and can't undo anything. Not so under
//! SERIALIZABLE, where also a transaction that has only read may fail at COMMIT. (A write that
//! PostgreSQL computes on staged rows takes a transaction number, so its block goes by the outbox.)
//! While the gateway holds the table's definition ([`crate::steady`]) such a block needn't, as a
//! native statement needn't: the query that would compare the definition takes PostgreSQL longer
//! than all else in a short block.
//!
//! A COMMIT whose answer is lost is asked for over another connection, for ten seconds; then the
//! client gets 08007 and the outbox decides. The session goes on where it had nothing else on the
//! lost connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flywheel_plan::Home;
use flywheel_postgres::{Rows, ServerError};
use flywheel_store::{Change, Prepared, StoreError, TransactionId};
use flywheel_types::ordered;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{PgError, Severity, sqlstate};

use crate::error::{conflict, store_error};
use crate::failure::{End, Failure, Outcome};
use crate::held_definitions as definitions;
use crate::host::{Executor, Host};
use crate::reliance::Relying;
use crate::steady::Standing;
use crate::transaction::{Fate, Record, by_store, carry_out, of_tables, outbox};
use crate::write::LockWait;

/// How long PostgreSQL is asked for the outcome of a COMMIT whose answer was lost.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Changes with their tables' homes, in an order that is the same for all: by store, place in it,
/// table and key.
type Changes = Vec<(Arc<Home>, Change)>;

/// Whether PostgreSQL has nothing of its own to commit.
const IS_EMPTY: &str = "pg_catalog.txid_current_if_assigned() IS NULL \
     AND pg_catalog.current_setting('transaction_isolation') <> 'serializable'";

/// How a block's changes come to the stores.
#[derive(Debug, Clone, Copy)]
enum Committing {
    /// The one store that has changes commits on its own. The block holds the definitions.
    Alone,
    /// The same while the gateway holds the one definition.
    AloneHeld,
    /// In two phases, with PostgreSQL's COMMIT between them.
    Prepared(TransactionId),
}

/// How a block's COMMIT ended in PostgreSQL.
enum Ended {
    /// With this command tag.
    Committed(String),
    RolledBack(PgError),
    /// Nobody knows, nor can be asked now.
    Unknown(PgError),
}

impl<H: Host> Executor<'_, H> {
    /// COMMIT with writes to stores; the command tag. Whatever happens, the block is over then.
    pub async fn commit(&mut self, text: &str) -> Outcome<String> {
        // It holds the definitions itself, and what it has begun it carries through.
        let relying = self.reliance_mut().suspend();
        let committed = self.commit_held(text).await;
        self.reliance_mut().resume(relying);
        committed
    }

    async fn commit_held(&mut self, text: &str) -> Outcome<String> {
        let changes = self.changes();
        let announced = match self.announce_commit().await {
            Ok(()) => self.check_waiting().await,
            failed => failed,
        };
        let checked = match announced {
            Ok(()) => self.before_commit(&changes).await,
            Err(failure) => Err(failure),
        };
        let committed = match checked {
            Ok(Committing::Prepared(transaction)) => {
                self.commit_prepared(text, transaction, &changes).await
            }
            Ok(alone) => self.commit_alone(text, alone, &changes).await,
            Err(failure) => Err(failure),
        };
        if self.block().is_open() {
            // It ends with its COMMIT, as it does in PostgreSQL when a deferred constraint fails.
            if matches!(committed, Err(Failure::Statement(_)))
                && self.status() != TransactionStatus::Idle
            {
                self.on_server("ROLLBACK").await?;
            }
            self.end_block(committed.is_err());
        }
        self.report_settings();
        committed
    }

    fn changes(&self) -> Changes {
        let written = self.block().writes.iter();
        let mut changes: Changes = written
            .filter_map(|(key, buffered)| Some((buffered.home.clone(), buffered.to_change(key)?)))
            .collect();
        changes.sort_by_cached_key(|(home, change)| {
            let place = home.store.place(&home.table, &change.key);
            (
                home.store_name.clone(),
                place,
                home.table.physical_name.clone(),
                ordered::encode(change.key.values()),
            )
        });
        changes
    }

    /// Has PostgreSQL check all that it could still refuse, and records the changes in the outbox
    /// when they have to be carried out after PostgreSQL's COMMIT.
    async fn before_commit(&mut self, changes: &Changes) -> Outcome<Committing> {
        let written: Vec<Arc<Home>> = changes.iter().map(|(home, _)| home.clone()).collect();
        self.confirm_serializable(&written).await?;
        if changes.is_empty() {
            return Ok(Committing::Alone);
        }
        let mut homes: Vec<&Arc<Home>> = changes.iter().map(|(home, _)| home).collect();
        homes.sort_by_key(|home| home.name());
        homes.dedup_by_key(|home| home.name());
        let is_of_one = by_store(changes).len() == 1;
        // A SERIALIZABLE transaction can fail at COMMIT even where it has only read.
        if is_of_one && self.is_held_by_gateway(&homes) {
            let sql = format!("SET CONSTRAINTS ALL IMMEDIATE; SELECT {IS_EMPTY}");
            let asked = self.ask(&sql).await.map_err(|error| self.server_failed(&error))?;
            if asked.last().is_some_and(|rows| rows.text(0, 0) == "t") {
                return Ok(Committing::AloneHeld);
            }
        }
        let sql = format!(
            "{} SET CONSTRAINTS ALL IMMEDIATE; {}; SELECT {IS_EMPTY}, {}, \
             pg_catalog.current_setting('transaction_isolation') IN ('repeatable read', 'serializable')",
            definitions::holding(&homes),
            definitions::asking(&homes),
            outbox::EXISTS
        );
        let asked = self.ask(&sql).await.map_err(|error| self.server_failed(&error))?;
        let is_true = |column| asked.last().is_some_and(|rows| rows.text(0, column) == "t");
        let digests = asked.len().checked_sub(2).and_then(|place| asked.get(place));
        self.check_definitions(&homes, digests, is_true(2)).await?;
        if is_true(0) && is_of_one {
            return Ok(Committing::Alone);
        }
        if !is_true(1) {
            self.make_outbox().await?;
        }
        // The block's locks give way to those of its COMMIT.
        let id = self.block().marks.open().unwrap_or_else(|| self.block().marks.name()).id;
        let recorded = self.ask(&outbox::insert(id, &Record::encode(changes))).await;
        let recorded = recorded.map_err(|error| self.server_failed(&error))?;
        let xid = recorded.last().and_then(|rows| rows.text(0, 0).parse().ok());
        let xid = xid.ok_or_else(|| {
            PgError::error(sqlstate::INTERNAL_ERROR, "PostgreSQL gave the transaction no number")
        })?;
        Ok(Committing::Prepared(TransactionId { xid, id }))
    }

    /// Whether the gateway holds the definition of the one table that a block has written to, and
    /// the block has written for it.
    fn is_held_by_gateway(&self, homes: &[&Arc<Home>]) -> bool {
        let [home] = homes else { return false };
        let shared = self.stores();
        let is_own = self.block().definitions.are_own() || self.block().redefined;
        shared.holds_definitions()
            && !is_own
            && matches!(shared.steady.standing(&home.table.table), Standing::Steady(_))
    }

    /// Makes the outbox under the login of the store's `url`, past the pool, in which everybody may
    /// be waiting for this.
    async fn make_outbox(&mut self) -> Outcome<()> {
        let pool = self.stores().pool().clone();
        let made = if pool.options().size == 1 {
            let lease = self.server().await?;
            outbox::create(lease).await
        } else {
            match pool.connect_apart(&[]).await {
                Ok(mut connection) => outbox::create(&mut connection).await,
                Err(error) => Err(error),
            }
        };
        match made {
            Ok(()) => Ok(()),
            Err(ServerError::Postgres(error)) => {
                self.follow_server();
                Err(error.into())
            }
            Err(error) => Err(Failure::Statement(error.to_pg())),
        }
    }

    /// The changes of one store, where PostgreSQL has nothing to commit.
    async fn commit_alone(
        &mut self,
        text: &str,
        way: Committing,
        changes: &Changes,
    ) -> Outcome<String> {
        let written = match way {
            Committing::AloneHeld => self.write_held(changes).await?,
            _ => self.write_own(changes).await?,
        };
        if !written {
            return Err(conflict(&changes[0].0).into());
        }
        self.forget_written(changes);
        let ended = match self.ask(text).await {
            Ok(answer) => Ok(tag(&answer)),
            Err(error) if changes.is_empty() => return Err(self.server_failed(&error)),
            // All that the transaction has done is in the store: it has committed, whatever
            // PostgreSQL says.
            Err(ServerError::Postgres(_)) => {
                self.follow_server();
                if self.status() != TransactionStatus::Idle {
                    self.on_server("ROLLBACK").await?;
                }
                self.forget_server_settings();
                Ok("COMMIT".to_owned())
            }
            Err(error) => self
                .lose_server(error.to_pg(), Some("The transaction has committed."))
                .map(|_| "COMMIT".to_owned()),
        };
        self.end_block(false);
        ended
    }

    /// Writes the block's own rows while the gateway holds their definition. Where it has had to
    /// let it go, nothing is written before the block holds it.
    async fn write_held(&mut self, changes: &Changes) -> Outcome<bool> {
        self.take_lapse();
        self.reliance_mut().rely(Relying::OnGateway);
        let written = self.write_own(changes).await;
        self.reliance_mut().rely(Relying::Otherwise);
        let (Err(Failure::Statement(_)), Some(_)) = (&written, self.take_lapse()) else {
            return written;
        };
        let held = self.hold_definitions(&[&changes[0].0]).await;
        self.take_lapse();
        held?;
        self.write_own(changes).await
    }

    /// The block's locks on these rows have gone with what was written.
    fn forget_written(&mut self, changes: &Changes) {
        let notes = self.block_mut().marks.written(changes);
        notes.into_iter().for_each(|note| self.stores().locks.done(note));
    }

    /// Two phases, with PostgreSQL's COMMIT between them.
    async fn commit_prepared(
        &mut self,
        text: &str,
        transaction: TransactionId,
        changes: &Changes,
    ) -> Outcome<String> {
        let shared = self.stores().clone();
        self.interruptible(shared.note_locks(transaction, changes)).await?;
        if let Err(failure) = self.prepare_all(transaction, changes).await {
            self.roll_back(transaction, changes, Some(&failure)).await;
            return Err(failure);
        }
        let ended = match self.ask(text).await {
            Ok(answer) if tag(&answer) == "COMMIT" => Ended::Committed(tag(&answer)),
            Ok(_) => Ended::RolledBack(PgError::error(
                sqlstate::SERIALIZATION_FAILURE,
                "PostgreSQL has rolled the transaction back",
            )),
            Err(ServerError::Postgres(error)) => Ended::RolledBack(error),
            Err(error) => {
                let told = error.to_pg();
                let outcome = self.outcome(transaction, told.clone()).await;
                let note = match outcome {
                    Ended::Committed(_) => Some("The transaction has committed."),
                    Ended::RolledBack(_) => Some("The transaction was rolled back."),
                    Ended::Unknown(_) => None,
                };
                if let Err(failure) = self.lose_server(told, note) {
                    // Its state on the connection is lost, but not what it has written.
                    match outcome {
                        Ended::Committed(_) => self.carry_out_now(transaction, changes).await,
                        Ended::RolledBack(_) => self.roll_back(transaction, changes, None).await,
                        Ended::Unknown(_) => {}
                    }
                    return Err(failure);
                }
                outcome
            }
        };
        self.follow_server();
        match ended {
            Ended::Committed(tag) => {
                self.forget_written(changes);
                self.carry_out_now(transaction, changes).await;
                self.end_block(false);
                Ok(tag)
            }
            Ended::RolledBack(error) => {
                self.roll_back(transaction, changes, None).await;
                Err(error.into())
            }
            Ended::Unknown(error) => Err(Failure::Session(End::Fatal(error))),
        }
    }

    /// The first phase, store by store. What is prepared when it fails is the caller's to roll
    /// back.
    async fn prepare_all(&mut self, transaction: TransactionId, changes: &Changes) -> Outcome<()> {
        for together in by_store(changes) {
            let home = &together[0].0;
            let of_tables = of_tables(together);
            let mut wait = LockWait::new();
            loop {
                // Not to be interrupted: what was locked must be known.
                match home.store.prepare(transaction, &of_tables).await {
                    Ok(Prepared::Locked) => break,
                    Ok(Prepared::Refused) => return Err(conflict(home).into()),
                    Err(StoreError::Locked { position, transaction }) => {
                        let (home, change) = together.get(position).unwrap_or(&together[0]);
                        self.wait_for_lock(&mut wait, home, &change.key, transaction).await?;
                    }
                    // Nothing is written yet, whatever was locked.
                    Err(StoreError::Unknown { reason }) => {
                        return Err(store_error(&StoreError::Unavailable { reason }, home).into());
                    }
                    Err(error) => return Err(store_error(&error, home).into()),
                }
            }
        }
        Ok(())
    }

    /// Takes the locks away of a transaction that is rolled back. What can't be reached now, and
    /// what may be locked later by a request whose answer didn't come, is seen to by recovery.
    async fn roll_back(
        &self,
        transaction: TransactionId,
        changes: &Changes,
        why: Option<&Failure>,
    ) {
        let unlocked = self.stores().unlock(transaction, changes).await;
        let is_an_answer = |why: &Failure| match why {
            Failure::Statement(error) => error.code() != sqlstate::CANNOT_CONNECT_NOW.0,
            _ => false,
        };
        let is_answered = why.is_none_or(is_an_answer);
        if unlocked && is_answered {
            self.stores().locks.done(transaction.id);
        }
    }

    /// The second phase. Where a store can't be reached now, the outbox keeps its part.
    async fn carry_out_now(&mut self, transaction: TransactionId, changes: &Changes) {
        let failed = carry_out(transaction, changes).await;
        if failed.is_empty() {
            self.stores().outbox.done(transaction.id);
            self.stores().locks.done(transaction.id);
        }
        for (home, error) in failed {
            let told = store_error(&error, &home);
            let message = format!(
                "the transaction has committed, but store \"{}\" shows it only when it can be reached again",
                home.store_name
            );
            let notice = PgError::new(Severity::Warning, sqlstate::WARNING, message)
                .with_detail(told.message().to_owned());
            backend::notice_response(self.out(), &notice);
        }
    }

    /// How a COMMIT ended whose answer was lost with its connection.
    async fn outcome(&mut self, transaction: TransactionId, lost: PgError) -> Ended {
        let until = Instant::now() + PATIENCE;
        let shared = self.stores().clone();
        // Not needed any more, and maybe the only one.
        self.drop_server();
        loop {
            match shared.fate(transaction).await {
                Ok(Fate::Recorded(_) | Fate::CarriedOut) => {
                    return Ended::Committed("COMMIT".into());
                }
                Ok(Fate::RolledBack) => {
                    let told = lost.with_detail("The transaction was rolled back.");
                    return Ended::RolledBack(told.with_hint("It can be repeated."));
                }
                Ok(Fate::InProgress) => {}
                Err(error) => tracing::debug!(%error, "the outcome of a COMMIT can't be asked yet"),
            }
            if Instant::now() >= until {
                let message = format!(
                    "whether the transaction has committed isn't known: {}",
                    lost.message()
                );
                return Ended::Unknown(
                    PgError::fatal(sqlstate::TRANSACTION_RESOLUTION_UNKNOWN, message)
                        .with_detail("PostgreSQL and the stores will agree on it as soon as PostgreSQL can be reached.")
                        .with_hint("Look whether its writes are there before you repeat it."),
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Runs a statement on the held server connection; the caller says what an error means.
    async fn ask(&mut self, sql: &str) -> Result<Vec<Rows>, ServerError> {
        self.note_server_write();
        let Some(lease) = self.held_server() else {
            return Err(PgError::error(sqlstate::INTERNAL_ERROR, "no server connection").into());
        };
        let answer = lease.query(sql).await?;
        self.follow_server();
        Ok(answer)
    }
}

fn tag(answer: &[Rows]) -> String {
    answer.last().map(|rows| rows.tag.clone()).unwrap_or_default()
}
