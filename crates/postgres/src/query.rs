//! Flywheel's own statements, and statements it runs in a client's name with the answer kept.

use bytes::{BufMut, Bytes};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::quote::literal;
use flywheel_wire::reply::{self, Field};
use flywheel_wire::{Charset, Frame, PgError};
use postgres_protocol::message::frontend;

use crate::{Connection, ServerError};

/// The name of Flywheel's own statement and portal: the unnamed ones are the client's.
pub(crate) const OWN: &str = "flywheel_own";

/// The setting that says in which encoding a client speaks.
const CLIENT_ENCODING: &str = "client_encoding";

/// How many messages [`Connection::put_portal`] sends before Execute.
pub const PORTAL_STEPS: usize = 4;

/// The rows of one statement.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Columns of each row, in the asked format, `None` for NULL.
    pub rows: Vec<Vec<Option<Bytes>>>,
    /// The command tag; empty when the statement was empty.
    pub tag: String,
    /// NoticeResponses on the way, where the statement was run by [`Connection::query`].
    pub notices: Vec<Frame>,
}

impl Rows {
    /// A column of a row as text; empty for NULL and for bytes that aren't UTF-8.
    #[must_use]
    pub fn text(&self, row: usize, column: usize) -> &str {
        self.rows
            .get(row)
            .and_then(|row| row.get(column))
            .and_then(Option::as_ref)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

/// What PostgreSQL says of a statement before it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// Parameter types.
    pub parameters: Vec<u32>,
    /// Result columns; `None` when it returns no rows.
    pub fields: Option<Vec<Field>>,
}

/// A statement with its parameters, as a client bound them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Portal<'a> {
    /// The name under which the connection keeps the statement; empty: it is parsed anew.
    pub name: &'a str,
    /// The text, one statement.
    pub sql: &'a str,
    /// Types of the parameters; 0 where PostgreSQL shall infer.
    pub types: &'a [u32],
    /// Their format codes.
    pub formats: &'a [i16],
    /// Their values.
    pub values: &'a [Option<Bytes>],
    /// Format codes of the result columns.
    pub result_formats: &'a [i16],
}

impl Connection {
    /// Runs a text by the simple protocol and returns the rows (as text) of each of its statements.
    ///
    /// # Errors
    /// The first error of a statement, after the answer has been read to its end; or the connection
    /// broke.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Rows>, ServerError> {
        self.put_query(sql)?;
        self.send().await?;
        self.read_results().await
    }

    /// [`Self::query`] of a text whose rows are to be read here, whatever the session's
    /// `client_encoding`.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn query_in_utf8(&mut self, sql: &str) -> Result<Vec<Rows>, ServerError> {
        if self.charset().is_utf8() || self.status() == TransactionStatus::Failed {
            return self.query(sql).await;
        }
        let encoding = self.parameters.get(CLIENT_ENCODING).cloned().unwrap_or_default();
        let is_local = self.status() == TransactionStatus::InTransaction;
        let set = |encoding: &str| {
            let local = if is_local { "LOCAL " } else { "" };
            format!("SET {local}{CLIENT_ENCODING} TO {}", literal(encoding))
        };
        self.query(&set("UTF8")).await?;
        let results = self.query(sql).await;
        if self.status() != TransactionStatus::Failed {
            self.query(&set(&encoding)).await?;
        }
        results
    }

    /// Appends a Parse.
    ///
    /// # Errors
    /// A text has a zero byte in it.
    pub fn put_parse(&mut self, name: &str, sql: &str, types: &[u32]) -> Result<(), ServerError> {
        match self.charset() {
            Charset::Utf8 => self.put(|out| frontend::parse(name, sql, types.iter().copied(), out)),
            charset => {
                charset.put_parse(name, sql, types, self.out());
                Ok(())
            }
        }
    }

    /// How the texts of the session on it are read.
    #[must_use]
    pub fn charset(&self) -> Charset {
        let reported = |name| self.parameters.get(name).map_or("UTF8", String::as_str);
        Charset::of(reported(CLIENT_ENCODING), reported("server_encoding"))
    }

    /// The rows of each statement, until nothing is owed any more.
    pub(crate) async fn read_results(&mut self) -> Result<Vec<Rows>, ServerError> {
        let mut results = Vec::new();
        let mut current = Rows::default();
        self.until_ready(|frame| match frame.tag() {
            reply::tag::DATA_ROW => current.rows.extend(reply::data_row(&frame)),
            reply::tag::NOTICE_RESPONSE => current.notices.push(frame),
            reply::tag::COMMAND_COMPLETE => {
                reply::command_tag(&frame).unwrap_or_default().clone_into(&mut current.tag);
                results.push(std::mem::take(&mut current));
            }
            _ => {}
        })
        .await?;
        Ok(results)
    }

    /// Appends a Query.
    ///
    /// # Errors
    /// The text has a zero byte in it.
    pub fn put_query(&mut self, sql: &str) -> Result<(), ServerError> {
        match self.charset() {
            Charset::Utf8 => self.put(|out| frontend::query(sql, out))?,
            charset => charset.put_query(sql, self.out()),
        }
        self.unnamed_lost = true;
        self.expect_ready();
        Ok(())
    }

    /// Asks for a statement's parameter types and result columns, without keeping it prepared.
    ///
    /// # Errors
    /// PostgreSQL refuses the statement, or the connection broke.
    pub async fn describe(&mut self, sql: &str, types: &[u32]) -> Result<Described, ServerError> {
        self.put(|out| frontend::close(b'S', OWN, out))?;
        self.put(|out| frontend::parse(OWN, sql, types.iter().copied(), out))?;
        self.put(|out| frontend::describe(b'S', OWN, out))?;
        self.put(|out| frontend::close(b'S', OWN, out))?;
        frontend::sync(self.out());
        self.expect_ready();
        self.send().await?;
        let mut described = Described::default();
        self.until_ready(|frame| match frame.tag() {
            reply::tag::PARAMETER_DESCRIPTION => {
                described.parameters = reply::parameter_description(&frame).unwrap_or_default()
            }
            reply::tag::ROW_DESCRIPTION => described.fields = reply::row_description(&frame),
            _ => {}
        })
        .await?;
        Ok(described)
    }

    /// Runs a statement by the extended protocol, its result in memory.
    ///
    /// # Errors
    /// As [`Self::run_with`].
    pub async fn run(&mut self, portal: &Portal<'_>) -> Result<Rows, ServerError> {
        let mut rows = Vec::new();
        let tag = self
            .run_with(portal, |frame| {
                if frame.tag() == reply::tag::DATA_ROW {
                    rows.extend(reply::data_row(&frame));
                }
            })
            .await?;
        Ok(Rows { rows, tag, ..Rows::default() })
    }

    /// Runs a statement by the extended protocol, giving its RowDescription, each DataRow and
    /// NoticeResponse to `each`; the command tag.
    ///
    /// # Errors
    /// PostgreSQL's error, after the answer has been read to its end; or the connection broke.
    pub async fn run_with(
        &mut self,
        portal: &Portal<'_>,
        mut each: impl FnMut(Frame),
    ) -> Result<String, ServerError> {
        let parses = self.put_bound(portal)?;
        self.put(|out| frontend::describe(b'P', OWN, out))?;
        self.put(|out| frontend::execute(OWN, 0, out))?;
        self.put_closed()?;
        frontend::sync(self.out());
        self.expect_ready();
        self.send().await?;
        let (mut tag, mut parsed) = (String::new(), false);
        let ran = self.until_ready(|frame| match frame.tag() {
            reply::tag::DATA_ROW | reply::tag::NOTICE_RESPONSE | reply::tag::ROW_DESCRIPTION => {
                each(frame)
            }
            reply::tag::COMMAND_COMPLETE => {
                reply::command_tag(&frame).unwrap_or_default().clone_into(&mut tag)
            }
            reply::tag::PARSE_COMPLETE => parsed = true,
            _ => {}
        });
        let ran = ran.await;
        if parses && !parsed {
            self.forget_prepared(portal.name);
        }
        ran.map(|()| tag)
    }

    /// Runs several statements, one behind the other, in one round trip; the rows of each.
    ///
    /// # Errors
    /// That of the first that fails, behind which none is run; or the connection broke.
    pub async fn run_all(&mut self, portals: &[Portal<'_>]) -> Result<Vec<Rows>, ServerError> {
        let mut parses = Vec::new();
        for portal in portals {
            if self.put_portal(portal)? || portal.name.is_empty() {
                parses.push(portal.name);
            }
        }
        self.put_closed()?;
        frontend::sync(self.out());
        self.expect_ready();
        self.send().await?;
        let (mut results, mut current, mut parsed) = (Vec::new(), Rows::default(), 0);
        let ran = self.until_ready(|frame| match frame.tag() {
            reply::tag::DATA_ROW => current.rows.extend(reply::data_row(&frame)),
            reply::tag::NOTICE_RESPONSE => current.notices.push(frame),
            reply::tag::PARSE_COMPLETE => parsed += 1,
            reply::tag::COMMAND_COMPLETE => {
                reply::command_tag(&frame).unwrap_or_default().clone_into(&mut current.tag);
                results.push(std::mem::take(&mut current));
            }
            _ => {}
        });
        let ran = ran.await;
        for name in parses.into_iter().skip(parsed).filter(|name| !name.is_empty()) {
            self.doubt_prepared(name);
        }
        ran.map(|()| results)
    }

    /// Runs several statements without the Sync that would end the transaction which they and what
    /// follows are, where no block is open. Their rows are dropped.
    ///
    /// # Errors
    /// That of the first that fails, which has ended the transaction; or the connection broke.
    pub async fn run_unsynced(&mut self, portals: &[Portal<'_>]) -> Result<(), ServerError> {
        for portal in portals {
            self.put_portal(portal)?;
        }
        frontend::flush(self.out());
        // Until all of the answer is read the connection is nobody else's.
        self.expect_ready();
        self.send().await?;
        let mut open = portals.len();
        while open > 0 {
            let frame = self.next_message().await?;
            match frame.tag() {
                reply::tag::COMMAND_COMPLETE => open -= 1,
                reply::tag::ERROR_RESPONSE => {
                    frontend::sync(self.out());
                    self.send().await?;
                    self.until_ready(drop).await?;
                    return Err(PgError::read(frame.body()).into());
                }
                _ => {}
            }
        }
        self.forget_expected_ready();
        Ok(())
    }

    /// Appends the messages that run a portal: of one without a name [`PORTAL_STEPS`] that are
    /// answered with one message each, then Execute. Whether a Parse of its name is among them.
    ///
    /// # Errors
    /// A text has a zero byte in it.
    pub fn put_portal(&mut self, portal: &Portal<'_>) -> Result<bool, ServerError> {
        let parses = self.put_bound(portal)?;
        self.put(|out| frontend::execute(OWN, 0, out))?;
        Ok(parses)
    }

    /// Appends what closes Flywheel's own portal and statement, so that nobody sees them: two
    /// messages, answered with one each.
    ///
    /// # Errors
    /// Never in practice: the names are constants.
    pub fn put_closed(&mut self) -> Result<(), ServerError> {
        self.put(|out| frontend::close(b'P', OWN, out))?;
        self.put(|out| frontend::close(b'S', OWN, out))
    }

    fn put_bound(&mut self, portal: &Portal<'_>) -> Result<bool, ServerError> {
        self.put(|out| frontend::close(b'P', OWN, out))?;
        let name = if portal.name.is_empty() { OWN } else { portal.name };
        let is_kept = !portal.name.is_empty();
        if !is_kept || self.take_outdated(name) {
            self.put(|out| frontend::close(b'S', name, out))?;
        }
        let parses = !is_kept || !self.prepare_once(name);
        if parses {
            self.put(|out| frontend::parse(name, portal.sql, portal.types.iter().copied(), out))?;
        }
        self.put_bind(name, portal)?;
        Ok(is_kept && parses)
    }

    fn put_bind(&mut self, name: &str, portal: &Portal<'_>) -> Result<(), ServerError> {
        let server = self.server.clone();
        frontend::bind(
            OWN,
            name,
            portal.formats.iter().copied(),
            portal.values,
            |value, out| match value {
                Some(bytes) => {
                    out.put_slice(bytes);
                    Ok(postgres_protocol::IsNull::No)
                }
                None => Ok(postgres_protocol::IsNull::Yes),
            },
            portal.result_formats.iter().copied(),
            self.out(),
        )
        .map_err(|error| {
            let what = match error {
                frontend::BindError::Conversion(error) => error.to_string(),
                frontend::BindError::Serialization(error) => error.to_string(),
            };
            ServerError::Protocol { server, what }
        })
    }

    /// Reads messages until nothing is owed any more.
    ///
    /// # Errors
    /// The first ErrorResponse, once all is read; or the connection broke.
    pub async fn until_ready(&mut self, mut each: impl FnMut(Frame)) -> Result<(), ServerError> {
        let mut failed = None;
        while self.is_busy() {
            let frame = self.next_message().await?;
            match frame.tag() {
                reply::tag::ERROR_RESPONSE if failed.is_none() => {
                    failed = Some(PgError::read(frame.body()))
                }
                // A statement of ours never copies: an answer would wait for data for ever.
                reply::tag::COPY_IN_RESPONSE => {
                    self.put(|out| {
                        frontend::copy_fail("COPY FROM STDIN isn't expected here", out)
                    })?;
                    self.send().await?;
                }
                // It is none of this answer.
                reply::tag::NOTIFICATION_RESPONSE => self.heard.push(frame),
                _ => each(frame),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}
