//! Messages that Flywheel sends to clients, appended to a buffer.

use bytes::{BufMut, BytesMut};

use crate::reply::Field;
use crate::{Charset, PgError};

/// A session's state as ReadyForQuery reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `I`: not in a block.
    Idle,
    /// `T`: in a block.
    InTransaction,
    /// `E`: in a failed block.
    Failed,
}

impl TransactionStatus {
    /// The status for ReadyForQuery's byte; anything unknown counts as failed, which is the safe
    /// side.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            b'I' => Self::Idle,
            b'T' => Self::InTransaction,
            _ => Self::Failed,
        }
    }

    /// ReadyForQuery's byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// Appends a message: the tag, a length filled in afterwards, and the body that `write` appends.
pub fn message(out: &mut BytesMut, tag: u8, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let start = out.len();
    out.put_i32(0);
    write(out);
    let len = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

fn put_cstr(out: &mut BytesMut, text: &str) {
    // A zero byte inside would end the string early and shift what follows.
    out.extend(text.bytes().filter(|&byte| byte != 0));
    out.put_u8(0);
}

/// AuthenticationOk.
pub fn authentication_ok(out: &mut BytesMut) {
    message(out, b'R', |out| out.put_i32(0));
}

/// AuthenticationSASL, offering the mechanisms.
pub fn authentication_sasl(out: &mut BytesMut, mechanisms: &[&str]) {
    message(out, b'R', |out| {
        out.put_i32(10);
        mechanisms.iter().for_each(|mechanism| put_cstr(out, mechanism));
        out.put_u8(0);
    });
}

/// AuthenticationSASLContinue.
pub fn authentication_sasl_continue(out: &mut BytesMut, data: &[u8]) {
    message(out, b'R', |out| {
        out.put_i32(11);
        out.put_slice(data);
    });
}

/// AuthenticationSASLFinal.
pub fn authentication_sasl_final(out: &mut BytesMut, data: &[u8]) {
    message(out, b'R', |out| {
        out.put_i32(12);
        out.put_slice(data);
    });
}

/// NegotiateProtocolVersion: the minor version of protocol 3 that will be spoken and the `_pq_.`
/// options not known. PostgreSQL sends the whole version, and libpq wants it so.
pub fn negotiate_protocol_version(out: &mut BytesMut, minor: u16, unknown_options: &[&str]) {
    message(out, b'v', |out| {
        out.put_u16(3);
        out.put_u16(minor);
        out.put_i32(i32::try_from(unknown_options.len()).unwrap_or(i32::MAX));
        unknown_options.iter().for_each(|option| put_cstr(out, option));
    });
}

/// BackendKeyData.
pub fn backend_key_data(out: &mut BytesMut, process_id: i32, secret_key: &[u8]) {
    message(out, b'K', |out| {
        out.put_i32(process_id);
        out.put_slice(secret_key);
    });
}

/// ParameterStatus.
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| {
        put_cstr(out, name);
        put_cstr(out, value);
    });
}

/// ReadyForQuery.
pub fn ready_for_query(out: &mut BytesMut, status: TransactionStatus) {
    message(out, b'Z', |out| out.put_u8(status.byte()));
}

/// ErrorResponse.
pub fn error_response(out: &mut BytesMut, error: &PgError) {
    fields(out, b'E', error);
}

/// The same for a client whose texts are read in this way: an error of Flywheel's own, or one that
/// was read so.
pub fn error_response_in(charset: Charset, out: &mut BytesMut, error: &PgError) {
    message(out, b'E', |out| {
        for (code, value) in error.fields() {
            out.put_u8(*code);
            out.put_slice(&charset.write(value));
            out.put_u8(0);
        }
        out.put_u8(0);
    });
}

/// NoticeResponse.
pub fn notice_response(out: &mut BytesMut, notice: &PgError) {
    fields(out, b'N', notice);
}

/// NotificationResponse, from this process.
pub fn notification_response(
    out: &mut BytesMut,
    process_id: i32,
    notification: &crate::reply::Notification<'_>,
) {
    message(out, b'A', |out| {
        out.put_i32(process_id);
        put_cstr(out, notification.channel);
        out.put_slice(notification.payload);
        out.put_u8(0);
    });
}

fn fields(out: &mut BytesMut, tag: u8, error: &PgError) {
    message(out, tag, |out| {
        for (code, value) in error.fields() {
            out.put_u8(*code);
            put_cstr(out, value);
        }
        out.put_u8(0);
    });
}

/// CommandComplete.
pub fn command_complete(out: &mut BytesMut, tag: &str) {
    message(out, b'C', |out| put_cstr(out, tag));
}

/// EmptyQueryResponse.
pub fn empty_query_response(out: &mut BytesMut) {
    message(out, b'I', |_| {});
}

/// ParseComplete.
pub fn parse_complete(out: &mut BytesMut) {
    message(out, b'1', |_| {});
}

/// BindComplete.
pub fn bind_complete(out: &mut BytesMut) {
    message(out, b'2', |_| {});
}

/// CloseComplete.
pub fn close_complete(out: &mut BytesMut) {
    message(out, b'3', |_| {});
}

/// NoData.
pub fn no_data(out: &mut BytesMut) {
    message(out, b'n', |_| {});
}

/// PortalSuspended.
pub fn portal_suspended(out: &mut BytesMut) {
    message(out, b's', |_| {});
}

/// ParameterDescription.
pub fn parameter_description(out: &mut BytesMut, types: &[u32]) {
    message(out, b't', |out| {
        out.put_u16(u16::try_from(types.len()).unwrap_or(u16::MAX));
        types.iter().for_each(|&oid| out.put_u32(oid));
    });
}

/// RowDescription, with the format codes that the portal was bound with.
pub fn row_description(out: &mut BytesMut, fields: &[Field], formats: &[i16]) {
    message(out, b'T', |out| {
        out.put_u16(u16::try_from(fields.len()).unwrap_or(u16::MAX));
        for (position, field) in fields.iter().enumerate() {
            put_cstr(out, &field.name);
            out.put_u32(field.table_oid);
            out.put_i16(field.column);
            out.put_u32(field.type_oid);
            out.put_i16(field.type_len);
            out.put_i32(field.typmod);
            out.put_i16(crate::frontend::format_at(formats, position));
        }
    });
}

/// DataRow of `count` columns: `write` puts each with [`column()`] or [`null_column`].
pub fn data_row(out: &mut BytesMut, count: usize, write: impl FnOnce(&mut BytesMut)) {
    message(out, b'D', |out| {
        out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
        write(out);
    });
}

/// One column of a DataRow.
pub fn column(out: &mut BytesMut, value: &[u8]) {
    out.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
    out.put_slice(value);
}

/// One NULL column of a DataRow.
pub fn null_column(out: &mut BytesMut) {
    out.put_i32(-1);
}
