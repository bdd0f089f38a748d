//! What PostgreSQL says of a message whose body can't be read (its `pqformat.c` and `wchar.c`).

use crate::frontend::tag;
use crate::reader::Reader;
use crate::{Frame, PgError, sqlstate};

/// The error that PostgreSQL answers this message with: the first that it finds from the front.
pub(crate) fn malformed(frame: &Frame) -> PgError {
    let mut body = Reader::new(frame.body());
    let read = match frame.tag() {
        tag::QUERY => string(&mut body),
        tag::PARSE => parse(&mut body),
        tag::BIND => bind(&mut body),
        tag::EXECUTE => string(&mut body).and_then(|()| number(body.i32())).map(drop),
        tag::DESCRIBE | tag::CLOSE => {
            let kind = body.u8().ok_or_else(|| violation("no data left in message"));
            kind.and_then(|_| string(&mut body))
        }
        _ => Ok(()),
    };
    // What could be read is followed by bytes that nothing stands for.
    read.err().unwrap_or_else(|| violation("invalid message format"))
}

fn parse(body: &mut Reader<'_>) -> Result<(), PgError> {
    string(body)?;
    string(body)?;
    for _ in 0..count(body)? {
        number(body.i32())?;
    }
    Ok(())
}

fn bind(body: &mut Reader<'_>) -> Result<(), PgError> {
    string(body)?;
    string(body)?;
    for _ in 0..count(body)? {
        number(body.i16())?;
    }
    for _ in 0..count(body)? {
        let length = number(body.i32())?;
        if length != -1 {
            number(usize::try_from(length).ok().and_then(|length| body.take(length)))?;
        }
    }
    for _ in 0..count(body)? {
        number(body.i16())?;
    }
    Ok(())
}

fn count(body: &mut Reader<'_>) -> Result<u16, PgError> {
    number(body.i16()).map(i16::cast_unsigned)
}

fn number<T>(read: Option<T>) -> Result<T, PgError> {
    read.ok_or_else(|| violation("insufficient data left in message"))
}

fn string(body: &mut Reader<'_>) -> Result<(), PgError> {
    let bytes = body.cstr().ok_or_else(|| violation("invalid string in message"))?;
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(not_utf8(&bytes[error.valid_up_to()..])),
    }
}

fn violation(message: &'static str) -> PgError {
    PgError::error(sqlstate::PROTOCOL_VIOLATION, message)
}

/// 22021 of a text that begins with bytes that aren't UTF-8. PostgreSQL names as many of them as
/// the first one promises.
#[must_use]
pub fn not_utf8(bytes: &[u8]) -> PgError {
    let promised = match bytes.first() {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf7) => 4,
        _ => 1,
    };
    let named = bytes.iter().take(promised).map(|byte| format!("0x{byte:02x}"));
    let named = named.collect::<Vec<_>>().join(" ");
    let message = format!("invalid byte sequence for encoding \"UTF8\": {named}");
    PgError::error(sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message)
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};

    use super::*;
    use crate::frame;

    fn said(tag: u8, body: &[u8]) -> String {
        let mut buf = BytesMut::new();
        buf.put_u8(tag);
        buf.put_i32(body.len() as i32 + 4);
        buf.put_slice(body);
        let frame = frame::take(&mut buf, 1 << 20).unwrap().unwrap();
        let error = malformed(&frame);
        format!("{}: {}", error.code(), error.message())
    }

    #[test]
    fn the_first_mistake_is_told_in_postgresqls_words() {
        for (tag, body, expected) in [
            (b'Q', &b"SELECT 1"[..], "08P01: invalid string in message"),
            (b'Q', b"SELECT 1\0 ", "08P01: invalid message format"),
            (b'Q', b"\xff\xfe\0", "22021: invalid byte sequence for encoding \"UTF8\": 0xff"),
            (b'Q', b"\xe2\x82\0", "22021: invalid byte sequence for encoding \"UTF8\": 0xe2 0x82"),
            (b'P', b"s\0SELECT 1\0\0\x07", "08P01: insufficient data left in message"),
            (b'P', b"s\xc3(\0", "22021: invalid byte sequence for encoding \"UTF8\": 0xc3 0x28"),
            (b'B', b"\0\0\0\0\0\x01\0\0\0\x05ab", "08P01: insufficient data left in message"),
            (b'E', b"\0\0", "08P01: insufficient data left in message"),
            (b'C', b"S", "08P01: invalid string in message"),
            (b'D', b"", "08P01: no data left in message"),
        ] {
            assert_eq!(said(tag, body), expected, "{body:?}");
        }
    }
}
