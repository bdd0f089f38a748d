//! The answer to a statement: its rows, and the command tag.
//!
//! Rows of a store are put into their wire form when the socket takes them, a piece at a time, and
//! go with their piece: a client that reads slowly doesn't make the gateway hold them twice.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use flywheel_plan::Home;
use flywheel_types::{Row, Table, TypeInfo, Value, binary, text};
use flywheel_wire::frontend::format_at;
use flywheel_wire::reply::Field;
use flywheel_wire::{Frame, backend, frame, reply};

/// How many bytes of rows a piece has, but for the last row in it.
const PIECE: usize = 64 * 1024;

/// Notices and rows, and how the statement ends.
#[derive(Debug, Default)]
pub struct Answer {
    /// NoticeResponses, which come first.
    notices: BytesMut,
    /// DataRows.
    pieces: VecDeque<Piece>,
    /// The rows behind them.
    rows: Option<Rows>,
    /// RowDescription, where PostgreSQL has given it with the rows.
    described: Option<Frame>,
    /// Some of the rows have been sent.
    resumed: bool,
    /// The command tag.
    pub tag: String,
}

/// Some DataRows.
#[derive(Debug, Default)]
struct Piece {
    bytes: BytesMut,
    rows: usize,
}

/// Rows of a store table that have no wire form yet.
#[derive(Debug)]
struct Rows {
    rows: std::vec::IntoIter<Row>,
    home: Arc<Home>,
    projection: Vec<usize>,
    formats: Vec<i16>,
}

impl Piece {
    /// Moves its first rows to `out`.
    fn take(&mut self, rows: usize, out: &mut BytesMut) {
        let mut end = 0;
        for _ in 0..rows {
            // What stands here was put by us, whole.
            let Ok(Some((_, len))) = frame::peek(&self.bytes[end..], usize::MAX) else { break };
            end += len;
        }
        out.put_slice(&self.bytes.split_to(end));
        self.rows -= rows;
    }
}

impl Rows {
    /// Appends the next row; false: there is none.
    fn put_next(&mut self, out: &mut BytesMut) -> bool {
        let Some(row) = self.rows.next() else { return false };
        let columns = &self.home.table.table.columns;
        let values =
            self.projection.iter().map(|&position| (&columns[position].ty, &row[position]));
        put_row(out, values, &self.formats);
        true
    }
}

impl Answer {
    /// An answer without rows.
    pub fn tagged(tag: impl Into<String>) -> Self {
        Self { tag: tag.into(), ..Self::default() }
    }

    /// Adds a NoticeResponse.
    pub fn push_notice(&mut self, notice: &[u8]) {
        self.notices.extend_from_slice(notice);
    }

    /// The digest of the columns that PostgreSQL has described.
    pub(super) fn columns(&self) -> Option<u64> {
        reply::columns_digest(self.described.as_ref()?.body())
    }

    /// The columns are those that the statement was planned with.
    pub(super) fn forget_columns(&mut self) {
        self.described = None;
    }

    /// Appends the RowDescription: of these columns, unless the rows turned out to have others.
    pub fn describe(&self, fields: Option<&[Field]>, out: &mut BytesMut) {
        match (&self.described, fields) {
            (Some(described), _) => out.put_slice(described.raw()),
            (None, Some(fields)) => backend::row_description(out, fields, &[]),
            (None, None) => {}
        }
    }

    /// Adds a DataRow, NoticeResponse or RowDescription as a server sent it.
    pub fn push_frame(&mut self, frame: &Frame) {
        match frame.tag() {
            reply::tag::NOTICE_RESPONSE => return self.push_notice(frame.raw()),
            reply::tag::ROW_DESCRIPTION => return self.described = Some(frame.clone()),
            _ => {}
        }
        self.piece().extend_from_slice(frame.raw());
    }

    /// Where the next row goes.
    fn piece(&mut self) -> &mut BytesMut {
        if self.pieces.back().is_none_or(|piece| piece.bytes.len() >= PIECE) {
            self.pieces.push_back(Piece::default());
        }
        let last = self.pieces.len() - 1;
        let piece = &mut self.pieces[last];
        piece.rows += 1;
        &mut piece.bytes
    }

    /// Its rows are these of a store table: some of its columns, in the formats that the client
    /// asked for.
    pub(crate) fn set_rows(
        &mut self,
        home: &Arc<Home>,
        rows: Vec<Row>,
        projection: &[usize],
        formats: &[i16],
    ) {
        self.rows = Some(Rows {
            rows: rows.into_iter(),
            home: home.clone(),
            projection: projection.to_vec(),
            formats: formats.to_vec(),
        });
    }

    /// Adds a row of `table`: these of its columns, in the formats that the client asked for.
    pub fn push_row(&mut self, table: &Table, row: &Row, projection: &[usize], formats: &[i16]) {
        let values =
            projection.iter().map(|&position| (&table.columns[position].ty, &row[position]));
        self.push_values(values, formats);
    }

    /// Adds a row of these values.
    pub fn push_values<'v>(
        &mut self,
        values: impl ExactSizeIterator<Item = (&'v TypeInfo, &'v Value)>,
        formats: &[i16],
    ) {
        put_row(self.piece(), values, formats);
    }

    /// Adds a row of one text column.
    pub fn push_text(&mut self, line: &str) {
        self.push_texts([line]);
    }

    /// Adds a row of text columns.
    pub fn push_texts<'t>(
        &mut self,
        columns: impl IntoIterator<Item = &'t str, IntoIter: ExactSizeIterator>,
    ) {
        let columns = columns.into_iter();
        backend::data_row(self.piece(), columns.len(), |out| {
            columns.for_each(|column| backend::column(out, column.as_bytes()))
        });
    }

    /// Appends the next rows, about a piece of them and at most so many; how many.
    pub fn put_some(&mut self, most: usize, out: &mut BytesMut) -> usize {
        if !self.notices.is_empty() {
            out.put_slice(&std::mem::take(&mut self.notices));
        }
        let until = out.len().saturating_add(PIECE);
        let mut put = 0;
        while put < most && out.len() < until {
            if let Some(piece) = self.pieces.front_mut() {
                let rows = piece.rows.min(most - put);
                if rows == piece.rows {
                    out.put_slice(&piece.bytes);
                    self.pieces.pop_front();
                } else {
                    piece.take(rows, out);
                }
                put += rows;
            } else if self.rows.as_mut().is_some_and(|rows| rows.put_next(out)) {
                put += 1;
            } else {
                break;
            }
        }
        put
    }

    /// Whether there are rows that haven't been appended.
    pub fn has_rows(&self) -> bool {
        !self.pieces.is_empty() || self.rows.as_ref().is_some_and(|rows| rows.rows.len() > 0)
    }

    /// Behind the rows of one Execute: appends CommandComplete, or PortalSuspended where its limit
    /// is met (0: there is none); whether that was the end.
    pub fn end(&mut self, given: usize, limit: usize, out: &mut BytesMut) -> bool {
        let resumed = self.resumed;
        self.resumed |= given > 0;
        // As PostgreSQL: when the limit is met exactly, it doesn't look whether there is more.
        if limit != 0 && given == limit {
            backend::portal_suspended(out);
            return false;
        }
        match self.tag.rsplit_once(' ') {
            // The rows of this Execute.
            Some((verb, _)) if resumed => {
                backend::command_complete(out, &format!("{verb} {given}"))
            }
            _ => backend::command_complete(out, &self.tag),
        }
        true
    }
}

/// One DataRow.
fn put_row<'v>(
    out: &mut BytesMut,
    values: impl ExactSizeIterator<Item = (&'v TypeInfo, &'v Value)>,
    formats: &[i16],
) {
    backend::data_row(out, values.len(), |out| {
        let mut printed = Vec::new();
        for (place, (ty, value)) in values.enumerate() {
            put_value(out, ty, value, format_at(formats, place), &mut printed);
        }
    });
}

/// One column in one format. A type that has no native binary form never comes here with format 1
/// (see `native/`).
fn put_value(out: &mut BytesMut, ty: &TypeInfo, value: &Value, format: i16, printed: &mut Vec<u8>) {
    if value.is_null() {
        return backend::null_column(out);
    }
    printed.clear();
    if format == 0 {
        text::encode(value, printed);
    } else if !binary::encode(ty, value, printed) {
        // Excluded by `can_print`; NULL is better than bytes of another type.
        return backend::null_column(out);
    }
    backend::column(out, printed);
}
