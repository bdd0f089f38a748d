//! The messages that guard a statement, their answers, and the end of the client's, which is kept
//! back meanwhile.

use bytes::BytesMut;
use flywheel_execute::twin::{CHECK, MARK, moved};
use flywheel_postgres::Lease;
use flywheel_wire::{Frame, PgError, reply, sqlstate};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend as message;

use super::{FOLDED, GuardMessages, Quiet, WAITING};
use crate::session::step::Step;
use crate::session::work::Work;
use crate::session::{Failure, Outcome};

impl GuardMessages<'_> {
    /// Appends the messages that keep the marks. With `work`, each has its step.
    pub(in crate::session) async fn put_mark(
        &mut self,
        changing: &str,
        mut work: Option<&mut Work>,
    ) -> Outcome<()> {
        let shared = self.session.shared.clone();
        if shared.stores.twins.folds(self.session.guarding.sees_own_definitions()) {
            self.put_prepared(FOLDED, "DISCARD PLANS", None, work.as_deref_mut()).await?;
        }
        self.put_prepared(MARK, &shared.stores.twins.marks().mark, Some(changing), work).await
    }

    /// Appends the messages that check them.
    pub(in crate::session) async fn put_check(&mut self, work: Option<&mut Work>) -> Outcome<()> {
        let shared = self.session.shared.clone();
        self.put_prepared(CHECK, &shared.stores.twins.marks().check, None, work).await
    }

    pub(super) async fn put_prepared(
        &mut self,
        name: &str,
        sql: &str,
        value: Option<&str>,
        work: Option<&mut Work>,
    ) -> Outcome<()> {
        // What a list of prepared statements may show isn't kept.
        let is_kept = !self.session.upstream.is_listed();
        let lease = self.session.server().await?;
        let is_prepared = is_kept && lease.prepare_once(name);
        let mut put = |write: &mut dyn FnMut(&mut BytesMut) -> std::io::Result<()>| {
            write(lease.out())
                .map_err(|error| PgError::error(sqlstate::PROTOCOL_VIOLATION, error.to_string()))
        };
        if !is_prepared {
            // An error may have undone it.
            put(&mut |out| message::close(b'S', name, out))?;
            put(&mut |out| message::parse(name, sql, [], out))?;
        }
        put(&mut |out| {
            let value_of = |value: &str, out: &mut BytesMut| {
                out.extend_from_slice(value.as_bytes());
                Ok(IsNull::No)
            };
            message::bind(name, name, [], value, value_of, [], out)
                .map_err(|_| std::io::Error::other("a value"))
        })?;
        put(&mut |out| message::execute(name, 0, out))?;
        put(&mut |out| message::close(b'P', name, out))?;
        if !is_kept {
            put(&mut |out| message::close(b'S', name, out))?;
        }
        if let Some(work) = work {
            work.steps.push_back(Step::Guard {
                checks: name == CHECK,
                closes: 1 + usize::from(!is_prepared) + usize::from(!is_kept),
                prepares: (is_kept && !is_prepared).then(|| name.to_owned()),
            });
        }
        Ok(())
    }

    /// A DEALLOCATE ALL takes what is prepared on the server connection, the guard's statements
    /// among it.
    pub(in crate::session) fn forget_prepared(&mut self) {
        self.forget_guards();
        if let Some(lease) = self.session.held_server() {
            lease.doubt_all_prepared();
        }
    }

    /// The guard's statements may not be prepared: the transaction has failed.
    pub(in crate::session) fn forget_guards(&mut self) {
        if let Some(lease) = self.session.held_server() {
            [MARK, CHECK, FOLDED, WAITING].into_iter().for_each(|name| lease.doubt_prepared(name));
        }
    }

    pub(super) fn put_sync(&mut self) {
        if let Some(lease) = self.session.held_server() {
            message::sync(lease.out());
            lease.expect_ready();
        }
    }

    /// Reads an answer that isn't the client's, up to ReadyForQuery.
    pub(super) async fn read_quietly(&mut self) -> Outcome<Quiet> {
        let mut quiet = Quiet::default();
        loop {
            let Some(lease) = self.session.upstream.lease_mut() else {
                return Err(PgError::error(sqlstate::INTERNAL_ERROR, "no server connection").into());
            };
            let frame = match lease.next_message().await {
                Ok(frame) => frame,
                Err(error) => return Err(self.session.server_failed(&error)),
            };
            match frame.tag() {
                reply::tag::READY_FOR_QUERY => return Ok(quiet),
                reply::tag::ERROR_RESPONSE => {
                    let error = PgError::read(frame.body());
                    if error.is_fatal() {
                        return Err(self.session.replicas().server_ended(error));
                    }
                    quiet.failed.get_or_insert(error);
                }
                _ => self.read_own(&frame, &mut quiet),
            }
        }
    }

    pub(super) fn read_own(&mut self, frame: &Frame, quiet: &mut Quiet) {
        match frame.tag() {
            reply::tag::DATA_ROW => {
                let row = reply::data_row(frame).unwrap_or_default();
                // Of the check it is the second column that says something.
                if let Some(Some(value)) = row.get(1) {
                    quiet.first = String::from_utf8_lossy(value).into_owned();
                }
            }
            // That SET CONSTRAINTS does nothing beyond a batch is what it is for.
            reply::tag::NOTICE_RESPONSE if PgError::read(frame.body()).code() == "25P01" => {}
            reply::tag::NOTICE_RESPONSE => self.session.forward(frame),
            reply::tag::NOTIFICATION_RESPONSE => {
                if let Some(heard) = self.session.listener().heard_on_server(frame) {
                    self.session.guarding.held.put_behind(&heard, &mut self.session.client.out);
                }
            }
            reply::tag::PARAMETER_STATUS => self.session.parameter_status(frame),
            _ => {}
        }
    }

    /// What the client is told in the place of an error of the guard's.
    pub(super) fn guard_error(&self, error: PgError) -> PgError {
        if error.code() == "26000" {
            return deallocated();
        }
        if moved(&error).is_some() {
            // Rows may be in a twin already, by whatever way.
            tracing::debug!(user = self.session.identity.user, %error, "a statement has touched a store table in PostgreSQL");
        }
        told(error)
    }
}

pub(super) fn put_query(lease: &mut Lease, sql: &str) -> Outcome<()> {
    lease.put_query(sql).map_err(|error| Failure::Statement(error.to_pg()))
}

/// The error of a statement whose code takes the guard's statements away.
fn deallocated() -> PgError {
    let message = "the statement runs code that deallocates all prepared statements, Flywheel's own among them";
    PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint(
        "Run DEALLOCATE ALL as a statement of its own, or by a DO block that has the word in it.",
    )
}

/// What an error of the guard's says to a client.
fn told(error: PgError) -> PgError {
    moved(&error).map_or(error, |moved| moved.told())
}
