//! The answer to a statement: rows ready for the wire, and the command tag.

use bytes::{BufMut, BytesMut};
use flywheel_types::{Row, Table, TypeInfo, Value, binary, text};
use flywheel_wire::frontend::format_at;
use flywheel_wire::{Frame, backend, reply};

/// Encoded notices and DataRows, and how the statement ends.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// NoticeResponses, which come first.
    notices: BytesMut,
    rows: BytesMut,
    /// Where in `rows` each row ends.
    ends: Vec<usize>,
    /// How many of them have been sent.
    sent: usize,
    pub(crate) tag: String,
}

impl Answer {
    /// An answer without rows.
    pub(crate) fn tagged(tag: impl Into<String>) -> Self {
        Self {
            tag: tag.into(),
            ..Self::default()
        }
    }

    /// Adds a NoticeResponse.
    pub(crate) fn push_notice(&mut self, notice: &[u8]) {
        self.notices.extend_from_slice(notice);
    }

    /// Adds a DataRow or NoticeResponse as a server sent it.
    pub(crate) fn push_frame(&mut self, frame: &Frame) {
        if frame.tag() == reply::tag::NOTICE_RESPONSE {
            return self.push_notice(frame.raw());
        }
        self.rows.extend_from_slice(frame.raw());
        self.ends.push(self.rows.len());
    }

    /// Adds a row of `table`: these of its columns, in the formats that the client asked for.
    pub(crate) fn push_row(&mut self, table: &Table, row: &Row, projection: &[usize], formats: &[i16]) {
        let values = projection.iter().map(|&position| (&table.columns[position].ty, &row[position]));
        self.push_values(values, formats);
    }

    /// Adds a row of these values.
    pub(crate) fn push_values<'v>(&mut self, values: impl ExactSizeIterator<Item = (&'v TypeInfo, &'v Value)>, formats: &[i16]) {
        backend::data_row(&mut self.rows, values.len(), |out| {
            let mut printed = Vec::new();
            for (place, (ty, value)) in values.enumerate() {
                put_value(out, ty, value, format_at(formats, place), &mut printed);
            }
        });
        self.ends.push(self.rows.len());
    }

    /// Adds a row of one text column.
    pub(crate) fn push_text(&mut self, line: &str) {
        self.push_texts([line]);
    }

    /// Adds a row of text columns.
    pub(crate) fn push_texts<'t>(&mut self, columns: impl IntoIterator<Item = &'t str, IntoIter: ExactSizeIterator>) {
        let columns = columns.into_iter();
        backend::data_row(&mut self.rows, columns.len(), |out| {
            columns.for_each(|column| backend::column(out, column.as_bytes()))
        });
        self.ends.push(self.rows.len());
    }

    /// Appends the whole answer.
    pub(crate) fn write(mut self, out: &mut BytesMut) {
        self.write_some(out, 0);
    }

    /// Appends at most `limit` rows (0: all), and CommandComplete or PortalSuspended; whether that was the end.
    pub(crate) fn write_some(&mut self, out: &mut BytesMut, limit: usize) -> bool {
        let until = if limit == 0 {
            self.ends.len()
        } else {
            self.ends.len().min(self.sent + limit)
        };
        let start = self.sent.checked_sub(1).map_or(0, |last| self.ends[last]);
        let end = until.checked_sub(1).map_or(0, |last| self.ends[last]);
        out.put_slice(&std::mem::take(&mut self.notices));
        out.put_slice(&self.rows[start..end]);
        let given = until - self.sent;
        let resumed = self.sent > 0;
        self.sent = until;
        // As PostgreSQL: when the limit is met exactly, it doesn't look whether there is more.
        if limit != 0 && given == limit {
            backend::portal_suspended(out);
            return false;
        }
        match self.tag.rsplit_once(' ') {
            // The rows of this Execute.
            Some((verb, _)) if resumed => backend::command_complete(out, &format!("{verb} {given}")),
            _ => backend::command_complete(out, &self.tag),
        }
        true
    }
}

/// One column in one format. A type that has no native binary form never comes here with format 1 (see `native.rs`).
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
