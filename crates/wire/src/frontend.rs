//! Messages that a client sends after login, read from a bounded [`Frame`].

use bytes::Bytes;

use crate::malformed::malformed;
use crate::reader::Reader;
use crate::{Frame, PgError, sqlstate};

/// Tags of frontend messages.
pub mod tag {
    #![allow(missing_docs, reason = "each constant is the message of that name")]
    pub const BIND: u8 = b'B';
    pub const CLOSE: u8 = b'C';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_FAIL: u8 = b'f';
    pub const DESCRIBE: u8 = b'D';
    pub const EXECUTE: u8 = b'E';
    pub const FLUSH: u8 = b'H';
    pub const FUNCTION_CALL: u8 = b'F';
    pub const PARSE: u8 = b'P';
    pub const PASSWORD: u8 = b'p';
    pub const QUERY: u8 = b'Q';
    pub const SYNC: u8 = b'S';
    pub const TERMINATE: u8 = b'X';
}

/// What Describe and Close name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

impl Target {
    /// The byte that stands for it in a message.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Statement => b'S',
            Self::Portal => b'P',
        }
    }
}

/// Parse: prepare `query` under `name` (empty: unnamed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parse {
    /// The statement's name.
    pub name: String,
    /// One statement.
    pub query: String,
    /// Types of the first parameters, 0 where PostgreSQL shall infer.
    pub parameter_types: Vec<u32>,
}

/// Bind: a portal from a statement and parameter values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The portal's name.
    pub portal: String,
    /// The statement's name.
    pub statement: String,
    /// Format codes: none (all text), one (for all), or one each.
    pub parameter_formats: Vec<i16>,
    /// Values; `None` is NULL.
    pub parameters: Vec<Option<Bytes>>,
    /// Format codes of the result columns: none (all text), one (for all), or one each.
    pub result_formats: Vec<i16>,
}

/// Execute: run a portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute {
    /// The portal's name.
    pub portal: String,
    /// At most this many rows, 0 or less for all.
    pub max_rows: i32,
}

/// A format code that stands for a column or parameter at `position` (protocol-flow, "format
/// codes").
#[must_use]
pub fn format_at(formats: &[i16], position: usize) -> i16 {
    match formats {
        [] => 0,
        [one] => *one,
        many => many.get(position).copied().unwrap_or(0),
    }
}

/// Reads a Query message: its text.
///
/// # Errors
/// 08P01 when the body isn't one zero-terminated text, 22021 when the text isn't UTF-8.
pub fn query(frame: &Frame) -> Result<&str, PgError> {
    let mut reader = Reader::new(frame.body());
    reader.str().filter(|_| reader.is_empty()).ok_or_else(|| malformed(frame))
}

/// Reads a Parse message.
///
/// # Errors
/// 08P01 when the body doesn't have a Parse message's layout.
pub fn parse(frame: &Frame) -> Result<Parse, PgError> {
    let read = || {
        let mut reader = Reader::new(frame.body());
        let name = reader.str()?.to_owned();
        let query = reader.str()?.to_owned();
        let count = reader.count(4)?;
        let parameter_types = (0..count).map(|_| reader.u32()).collect::<Option<_>>()?;
        reader.is_empty().then_some(Parse { name, query, parameter_types })
    };
    read().ok_or_else(|| malformed(frame))
}

/// Reads a Bind message; parameter values share the frame's memory.
///
/// # Errors
/// 08P01 when the body doesn't have a Bind message's layout.
pub fn bind(frame: &Frame) -> Result<Bind, PgError> {
    let read = || {
        let mut reader = Reader::new(frame.body());
        let portal = reader.str()?.to_owned();
        let statement = reader.str()?.to_owned();
        let count = reader.count(2)?;
        let parameter_formats = (0..count).map(|_| reader.i16()).collect::<Option<_>>()?;
        let count = reader.count(4)?;
        let mut parameters = Vec::with_capacity(count);
        for _ in 0..count {
            parameters.push(match reader.i32()? {
                -1 => None,
                len => Some(frame.raw().slice_ref(reader.take(usize::try_from(len).ok()?)?)),
            });
        }
        let count = reader.count(2)?;
        let result_formats = (0..count).map(|_| reader.i16()).collect::<Option<_>>()?;
        reader.is_empty().then_some(Bind {
            portal,
            statement,
            parameter_formats,
            parameters,
            result_formats,
        })
    };
    read().ok_or_else(|| malformed(frame))
}

/// Reads a Describe or Close message.
///
/// # Errors
/// 08P01 when the body names neither a statement nor a portal.
pub fn target(frame: &Frame) -> Result<(Target, &str), PgError> {
    let is_close = frame.tag() == tag::CLOSE;
    let read = || {
        let mut reader = Reader::new(frame.body());
        let kind = reader.u8()?;
        let name = reader.str()?;
        reader.is_empty().then_some((kind, name))
    };
    match read().ok_or_else(|| malformed(frame))? {
        (b'S', name) => Ok((Target::Statement, name)),
        (b'P', name) => Ok((Target::Portal, name)),
        (other, _) => {
            let message = if is_close { "CLOSE" } else { "DESCRIBE" };
            let message = format!("invalid {message} message subtype {other}");
            Err(PgError::error(sqlstate::PROTOCOL_VIOLATION, message))
        }
    }
}

/// Reads an Execute message.
///
/// # Errors
/// 08P01 when the body doesn't have an Execute message's layout.
pub fn execute(frame: &Frame) -> Result<Execute, PgError> {
    let read = || {
        let mut reader = Reader::new(frame.body());
        let portal = reader.str()?.to_owned();
        let max_rows = reader.i32()?;
        reader.is_empty().then_some(Execute { portal, max_rows })
    };
    read().ok_or_else(|| malformed(frame))
}

/// Reads a SASLInitialResponse: mechanism and data.
///
/// # Errors
/// 08P01 when the body doesn't have its layout.
pub fn sasl_initial_response(frame: &Frame) -> Result<(&str, &[u8]), PgError> {
    let read = || {
        let mut reader = Reader::new(frame.body());
        let mechanism = reader.str()?;
        let data = reader
            .i32()
            .and_then(|len| usize::try_from(len).ok())
            .and_then(|len| reader.take(len))?;
        reader.is_empty().then_some((mechanism, data))
    };
    read().ok_or_else(|| malformed(frame))
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use proptest::prelude::*;

    use super::*;
    use crate::frame;

    fn frame(tag: u8, body: &[u8]) -> Frame {
        let mut buf = BytesMut::new();
        buf.put_u8(tag);
        buf.put_i32(body.len() as i32 + 4);
        buf.put_slice(body);
        frame::take(&mut buf, 1 << 20).unwrap().unwrap()
    }

    #[test]
    fn counts_that_lie_are_refused() {
        assert!(parse(&frame(tag::PARSE, b"\0SELECT 1\0\x7f\xff")).is_err());
        assert!(parse(&frame(tag::PARSE, b"\0SELECT 1\0\xff\xff")).is_err());
        assert!(bind(&frame(tag::BIND, b"\0\0\0\0\0\x01\x7f\xff\xff\xffab\0\0")).is_err());
        assert!(parse(&frame(tag::PARSE, b"s\0SELECT \xff\0\0\0")).is_err());
    }

    #[test]
    fn reads_a_bind() {
        let bind = bind(&frame(
            tag::BIND,
            b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02hi\xff\xff\xff\xff\0\x01\0\x01",
        ))
        .unwrap();
        assert_eq!((bind.portal.as_str(), bind.statement.as_str()), ("p", "s"));
        assert_eq!(bind.parameters, [Some(Bytes::from("hi")), None]);
        assert_eq!(format_at(&bind.parameter_formats, 1), 1);
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let frame = frame(b'x', &body);
            let _ = (query(&frame), parse(&frame), bind(&frame), target(&frame));
        let _ = (execute(&frame), sasl_initial_response(&frame));
        }
    }
}
