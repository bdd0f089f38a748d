//! What a server answers, as far as Flywheel looks at it.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use crate::Frame;
use crate::reader::Reader;

/// Tags of backend messages.
pub mod tag {
    #![allow(missing_docs, reason = "each constant is the message of that name")]
    pub const AUTHENTICATION: u8 = b'R';
    pub const BACKEND_KEY_DATA: u8 = b'K';
    pub const BIND_COMPLETE: u8 = b'2';
    pub const CLOSE_COMPLETE: u8 = b'3';
    pub const COMMAND_COMPLETE: u8 = b'C';
    pub const COPY_BOTH_RESPONSE: u8 = b'W';
    pub const COPY_IN_RESPONSE: u8 = b'G';
    pub const COPY_OUT_RESPONSE: u8 = b'H';
    pub const COPY_DONE: u8 = b'c';
    pub const DATA_ROW: u8 = b'D';
    pub const EMPTY_QUERY_RESPONSE: u8 = b'I';
    pub const ERROR_RESPONSE: u8 = b'E';
    pub const NO_DATA: u8 = b'n';
    pub const NOTICE_RESPONSE: u8 = b'N';
    pub const NOTIFICATION_RESPONSE: u8 = b'A';
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const PARSE_COMPLETE: u8 = b'1';
    pub const PORTAL_SUSPENDED: u8 = b's';
    pub const READY_FOR_QUERY: u8 = b'Z';
    pub const ROW_DESCRIPTION: u8 = b'T';
}

/// One column of a RowDescription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The column's name.
    pub name: String,
    /// The table it comes from, or 0.
    pub table_oid: u32,
    /// Its number in that table, or 0.
    pub column: i16,
    /// Its type.
    pub type_oid: u32,
    /// `pg_type.typlen`
    pub type_len: i16,
    /// Its type modifier.
    pub typmod: i32,
}

/// Reads a RowDescription.
#[must_use]
pub fn row_description(frame: &Frame) -> Option<Vec<Field>> {
    let mut reader = Reader::new(frame.body());
    let count = reader.count(19)?;
    (0..count)
        .map(|_| {
            let name = String::from_utf8_lossy(reader.cstr()?).into_owned();
            let (table_oid, column, type_oid, type_len, typmod) =
                (reader.u32()?, reader.i16()?, reader.u32()?, reader.i16()?, reader.i32()?);
            reader.i16()?;
            Some(Field { name, table_oid, column, type_oid, type_len, typmod })
        })
        .collect()
}

/// A digest of what a RowDescription's columns are: names, types and modifiers, which are what
/// PostgreSQL compares of a prepared statement whose definitions have changed
/// (`RevalidateCachedQuery`).
#[must_use]
pub fn columns_digest(body: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(body);
    let mut hasher = DefaultHasher::new();
    for _ in 0..reader.count(19)? {
        let name = reader.cstr()?;
        let (_table, _column, type_oid, _len, typmod) =
            (reader.u32()?, reader.i16()?, reader.u32()?, reader.i16()?, reader.i32()?);
        reader.i16()?;
        (name, type_oid, typmod).hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// The [`columns_digest`] of columns that were read from a RowDescription.
#[must_use]
pub fn fields_digest(fields: &[Field]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for field in fields {
        (field.name.as_bytes(), field.type_oid, field.typmod).hash(&mut hasher);
    }
    hasher.finish()
}

/// Reads a ParameterDescription.
#[must_use]
pub fn parameter_description(frame: &Frame) -> Option<Vec<u32>> {
    let mut reader = Reader::new(frame.body());
    let count = reader.count(4)?;
    (0..count).map(|_| reader.u32()).collect()
}

/// Reads a DataRow; the columns share the frame's memory.
#[must_use]
pub fn data_row(frame: &Frame) -> Option<Vec<Option<Bytes>>> {
    let mut reader = Reader::new(frame.body());
    let count = reader.count(4)?;
    (0..count)
        .map(|_| {
            Some(match reader.i32()? {
                -1 => None,
                len => Some(frame.raw().slice_ref(reader.take(usize::try_from(len).ok()?)?)),
            })
        })
        .collect()
}

/// Reads the body of a ParameterStatus: name and value.
#[must_use]
pub fn parameter_status(body: &[u8]) -> Option<(String, String)> {
    let mut reader = Reader::new(body);
    Some((reader.str()?.to_owned(), reader.str()?.to_owned()))
}

/// A NotificationResponse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification<'a> {
    /// The server process that has sent it.
    pub process_id: i32,
    /// The channel.
    pub channel: &'a str,
    /// What it says.
    pub payload: &'a [u8],
}

/// Reads the body of a NotificationResponse.
#[must_use]
pub fn notification(body: &[u8]) -> Option<Notification<'_>> {
    let mut reader = Reader::new(body);
    Some(Notification {
        process_id: reader.i32()?,
        channel: reader.str()?,
        payload: reader.cstr()?,
    })
}

/// Reads a CommandComplete's tag.
#[must_use]
pub fn command_tag(frame: &Frame) -> Option<&str> {
    Reader::new(frame.body()).str()
}
