//! What a message of the server means for the batch that it is at.

use std::sync::Arc;

use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, frame, reply};

use super::channel::{Awaited, Learns, State, Whose};
use super::{Form, MAX_ATTEMPTS};
use crate::{ServerError, is_about_statement};

/// Messages that end the answer to an Execute.
pub(super) fn ends_member(tag: u8) -> bool {
    matches!(
        tag,
        reply::tag::COMMAND_COMPLETE
            | reply::tag::EMPTY_QUERY_RESPONSE
            | reply::tag::PORTAL_SUSPENDED
            | reply::tag::ERROR_RESPONSE
    )
}

/// An error that ends the server's session.
pub(super) fn is_farewell(tag: u8, message: &[u8]) -> bool {
    tag == reply::tag::ERROR_RESPONSE && PgError::read(&message[frame::HEADER_LEN..]).is_fatal()
}

/// Messages of which nothing needs to be known.
pub(super) fn is_quiet(tag: u8) -> bool {
    matches!(
        tag,
        reply::tag::DATA_ROW
            | reply::tag::ROW_DESCRIPTION
            | reply::tag::COMMAND_COMPLETE
            | reply::tag::PORTAL_SUSPENDED
            | reply::tag::NO_DATA
    )
}

/// What Describe is answered with.
pub(super) fn is_columns(tag: u8) -> bool {
    matches!(tag, reply::tag::ROW_DESCRIPTION | reply::tag::NO_DATA)
}

/// Whether the first batch is to learn its columns.
pub(super) fn learns(state: &State) -> bool {
    state.awaited.front().is_some_and(|awaited| awaited.learns != Learns::Nothing)
}

/// What becomes of a message.
pub(super) enum Inspected {
    Forward,
    Skip,
    Ready(TransactionStatus),
}

/// Takes in what a message means for the batch that the server is at.
pub(super) fn inspect(state: &mut State, tag: u8, message: &[u8], of_replica: bool) -> Inspected {
    let cancelled = state.cancelled;
    let Some(awaited) = state.awaited.front_mut() else {
        // A notice or a setting that comes by itself: nobody's.
        return Inspected::Skip;
    };
    match tag {
        reply::tag::PARSE_COMPLETE | reply::tag::CLOSE_COMPLETE if awaited.skip > 0 => {
            awaited.skip -= 1;
            Inspected::Skip
        }
        reply::tag::PARSE_COMPLETE => {
            awaited.parsed = true;
            Inspected::Forward
        }
        reply::tag::PARAMETER_DESCRIPTION if awaited.learns == Learns::Hidden => Inspected::Skip,
        _ if is_columns(tag) && awaited.learns != Learns::Nothing => {
            let hidden = awaited.learns == Learns::Hidden;
            let columns = reply::columns_digest(&message[frame::HEADER_LEN..]);
            if !state.learn(columns)
                && let Some(awaited) = state.awaited.front_mut()
            {
                // Its owner is to find out what is to be told.
                awaited.outdate();
            }
            if hidden { Inspected::Skip } else { Inspected::Forward }
        }
        reply::tag::BIND_COMPLETE if awaited.form == Form::Query => Inspected::Skip,
        reply::tag::READY_FOR_QUERY => Inspected::Ready(TransactionStatus::from_byte(
            message.last().copied().unwrap_or_default(),
        )),
        reply::tag::ERROR_RESPONSE => {
            awaited.unparsed = !awaited.is_parsed();
            let parse_failed = awaited.skip > 0;
            let error = PgError::read(&message[frame::HEADER_LEN..]);
            if of_replica && matches!(awaited.whose, Whose::Client(..)) && is_replicas_own(&error) {
                awaited.refuse(error);
                return Inspected::Forward;
            }
            let mut outdated = None;
            if let Whose::Client(request, _) = &awaited.whose {
                let late_cancel =
                    cancelled && error.code() == "57014" && !error.message().contains("timeout");
                let named =
                    request.named.as_ref().filter(|_| parse_failed || is_about_statement(&error));
                outdated = named.map(|named| named.name.clone());
                let mendable = late_cancel || (outdated.is_some() && !parse_failed);
                awaited.repeat = mendable && !awaited.delivered && request.attempts < MAX_ATTEMPTS;
                if !awaited.repeat
                    && (writes(&error) || (awaited.form != Form::Verbatim && is_about_form(&error)))
                {
                    awaited.leave();
                }
            } else if matches!(awaited.whose, Whose::Settings)
                && let Some((_, answer)) = state.next.take()
            {
                answer.fail(Arc::new(ServerError::Postgres(error)));
            }
            if let Some(name) = outdated {
                state.unprepare(&name);
            }
            Inspected::Forward
        }
        _ => Inspected::Forward,
    }
}

impl Awaited {
    /// Whether the client's Parse, or the one that stands for it, has succeeded.
    pub(super) fn is_parsed(&self) -> bool {
        self.parsed || (self.form == Form::Parsed && self.skip == 0)
    }

    /// Leaves the batch to its owner, to be sent as the client sent it, unless some of its answer
    /// is there already.
    fn leave(&mut self) {
        if self.delivered {
            return;
        }
        if let Whose::Client(_, answer) = &self.whose {
            answer.refuse();
            self.whose = Whose::Nobody;
        }
    }

    /// Leaves the batch to its owner, since its rows would be misread. Nothing of its answer is
    /// there yet: what Flywheel has asked comes first.
    fn outdate(&mut self) {
        if let Whose::Client(_, answer) = &self.whose {
            answer.outdate();
            self.whose = Whose::Nobody;
        }
    }

    /// Leaves the batch to its owner, who may send it to another server, unless some of its answer
    /// is there already.
    fn refuse(&mut self, error: PgError) {
        if self.delivered {
            return;
        }
        match std::mem::replace(&mut self.whose, Whose::Nobody) {
            Whose::Client(_, answer) => answer.fail(Arc::new(ServerError::Postgres(error))),
            other => self.whose = other,
        }
    }
}

/// Whether it is an error that the primary wouldn't make, of a statement that only reads: the
/// replica's replay of the log was in the statement's way (hot-standby, "query conflicts"), or it
/// writes after all.
fn is_replicas_own(error: &PgError) -> bool {
    matches!(error.code(), "40001" | "40P01" | "25006")
}

/// Whether a statement has tried to write after all, which shared connections refuse.
fn writes(error: &PgError) -> bool {
    error.code() == "25006"
}

/// Whether an error may be another, or none, when the statement is sent as the client wrote it: one
/// of its values, its types, or the statement itself (classes 08, 0A, 22, 26 and 42).
fn is_about_form(error: &PgError) -> bool {
    ["08", "0A", "22", "26", "42"].iter().any(|class| error.code().starts_with(class))
}
