//! PostgreSQL's text format.
//!
//! Three functions: [`decode`] reads what a client wrote, [`encode`] writes what PostgreSQL would
//! print under one fixed set of settings, and [`decode_canonical`] reads that back, as stores keep
//! it.

mod datetime;
mod float;

use std::io::Write as _;

use uuid::Uuid;

use crate::{Scalar, TypeInfo, Value, decimal};

/// Reads `text`, a literal or a text-format parameter, as a value of type `ty` where that reading
/// is exact and depends on no setting. `None`: PostgreSQL must read it (and says what is wrong with
/// it, if anything is).
///
/// What is read, blanks around it aside where PostgreSQL allows them:
///
/// | type | forms |
/// | --- | --- |
/// | `boolean` | every form that PostgreSQL knows |
/// | integers | a sign and decimal digits |
/// | floats | decimal forms that neither overflow nor underflow, `NaN`, `Infinity`, `-Infinity` |
/// | `numeric` | decimal forms without exponent that need no rounding, `NaN`, and without modifier the infinities |
/// | `text`, `varchar` | any; with a length limit, any that keeps it |
/// | `char(n)` | any that fits without the blanks at its end |
/// | `uuid` | every form that PostgreSQL knows |
/// | `timestamptz` | ISO 8601 with an explicit offset from UTC, ` BC`, `infinity`, `-infinity` |
/// | `time` | `HH:MM`, `HH:MM:SS` and a fraction, up to 24:00, without a zone |
/// | `oid`, `name`, `macaddr`, `inet`, `cidr` | as PostgreSQL prints them |
/// | `date` | `YYYY-MM-DD`, ` BC`, `infinity`, `-infinity` |
/// | `bytea` | the hex form without blanks |
///
/// Never `json` and `jsonb`, of which PostgreSQL validates the one and canonicalises the other, and
/// never an enum, whose labels it knows.
#[must_use]
pub fn decode(ty: &TypeInfo, text: &str) -> Option<Value> {
    match ty.scalar {
        Scalar::Bool => boolean(trim(text)).map(Value::Bool),
        Scalar::Int2 => {
            integer(trim(text)).filter(|&number| i16::try_from(number).is_ok()).map(Value::Int)
        }
        Scalar::Int4 => {
            integer(trim(text)).filter(|&number| i32::try_from(number).is_ok()).map(Value::Int)
        }
        Scalar::Int8 => integer(trim(text)).map(Value::Int),
        Scalar::Float4 => float::decode(trim(text)).map(Value::Float4),
        Scalar::Float8 => float::decode(trim(text)).map(Value::Float8),
        Scalar::Numeric(modifier) => decimal::read(trim(text), modifier),
        Scalar::Text => storable(text).map(Value::Text),
        Scalar::Varchar(limit) => {
            storable(text).filter(|text| within(limit, text)).map(Value::Text)
        }
        Scalar::Bpchar(length) => {
            storable(text).and_then(|text| padded(length, &text)).map(Value::Bpchar)
        }
        Scalar::Uuid => uuid(text).map(Value::Uuid),
        Scalar::Timestamp => datetime::decode_timestamp(trim(text))
            .filter(|micros| ty.keeps(*micros))
            .map(Value::Timestamp),
        Scalar::Timestamptz => datetime::decode_timestamptz(trim(text))
            .filter(|micros| ty.keeps(*micros))
            .map(Value::Timestamptz),
        Scalar::Date => datetime::decode_date(trim(text)).map(Value::Date),
        Scalar::Time => {
            datetime::decode_time(trim(text)).filter(|micros| ty.keeps(*micros)).map(Value::Time)
        }
        Scalar::Printed(printed) => printed.is_printed(text).then(|| Value::Other(text.to_owned())),
        Scalar::Bytea => bytea(text).map(Value::Bytea),
        Scalar::Json | Scalar::Jsonb | Scalar::Enum | Scalar::Other => None,
    }
}

/// Reads text that PostgreSQL or [`encode`] printed under [`encode`]'s settings: what a store keeps
/// of a value. Beyond [`decode`] it takes documents and values of types that aren't read natively
/// as they are.
#[must_use]
pub fn decode_canonical(ty: &TypeInfo, text: &str) -> Option<Value> {
    match ty.scalar {
        Scalar::Json | Scalar::Jsonb => storable(text).map(Value::Json),
        Scalar::Printed(_) | Scalar::Enum | Scalar::Other => storable(text).map(Value::Other),
        _ => decode(ty, text),
    }
}

/// Appends the value as PostgreSQL prints it under `TimeZone = UTC`, `DateStyle = ISO`,
/// `bytea_output = hex` and `extra_float_digits = 1`. NULL appends nothing: its absence is the
/// caller's to encode.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => out.push(if *flag { b't' } else { b'f' }),
        Value::Int(number) => {
            let _ = write!(out, "{number}"); // writing to a Vec can't fail
        }
        Value::Float4(number) => float::encode(*number, out),
        Value::Float8(number) => float::encode(*number, out),
        Value::Uuid(uuid) => {
            out.extend_from_slice(
                uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes(),
            );
        }
        Value::Timestamp(micros) => datetime::encode_timestamp(*micros, "", out),
        Value::Timestamptz(micros) => datetime::encode_timestamp(*micros, "+00", out),
        Value::Time(micros) => datetime::encode_time(*micros, out),
        Value::Date(days) => datetime::encode_date(*days, out),
        Value::Bytea(bytes) => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.reserve(2 + 2 * bytes.len());
            out.extend_from_slice(b"\\x");
            out.extend(
                bytes
                    .iter()
                    .flat_map(|&byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
            );
        }
        Value::Numeric(text)
        | Value::Text(text)
        | Value::Bpchar(text)
        | Value::Json(text)
        | Value::Other(text) => out.extend_from_slice(text.as_bytes()),
    }
}

/// The text as PostgreSQL can hold it: any but one with U+0000.
pub(crate) fn storable(text: &str) -> Option<String> {
    (!text.contains('\0')).then(|| text.to_owned())
}

/// Whether the text has no more characters than a varchar's limit. PostgreSQL counts code points.
pub(crate) fn within(limit: Option<u32>, text: &str) -> bool {
    limit.is_none_or(|limit| {
        let limit = limit as usize;
        text.len() <= limit || text.chars().count() <= limit
    })
}

/// The text with as many blanks at its end as a `char` of this length has, where nothing but blanks
/// is cut off. PostgreSQL counts code points.
pub(crate) fn padded(length: Option<u32>, text: &str) -> Option<String> {
    let Some(length) = length else {
        return Some(text.to_owned());
    };
    let kept = text.trim_end_matches(' ');
    let missing = usize::try_from(length).ok()?.checked_sub(kept.chars().count())?;
    Some(format!("{kept}{}", " ".repeat(missing)))
}

/// Without the blanks that C's `isspace` knows, which is what PostgreSQL's input functions skip.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r'])
}

/// Every unambiguous beginning of the words counts, in either case (bool.c).
fn boolean(text: &str) -> Option<bool> {
    const WORDS: [(&str, usize, bool); 8] = [
        ("true", 1, true),
        ("false", 1, false),
        ("yes", 1, true),
        ("no", 1, false),
        ("on", 2, true),
        ("off", 2, false),
        ("1", 1, true),
        ("0", 1, false),
    ];
    let begins =
        |word: &str| word.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    WORDS
        .iter()
        .find(|(word, shortest, _)| text.len() >= *shortest && begins(word))
        .map(|(_, _, flag)| *flag)
}

fn integer(text: &str) -> Option<i64> {
    text.parse().ok() // Rust's grammar: a sign and decimal digits
}

/// 32 hex digits, optionally in braces, with an optional hyphen after every fourth (uuid.c).
fn uuid(text: &str) -> Option<Uuid> {
    let inner = text.strip_prefix('{').map_or(Some(text), |rest| rest.strip_suffix('}'))?;
    let mut bytes = [0; 16];
    let mut rest = inner.as_bytes();
    for (position, byte) in bytes.iter_mut().enumerate() {
        if position > 0 && position % 2 == 0 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
        let ([high, low], tail) = rest.split_first_chunk()?;
        *byte = hex_byte(*high, *low)?;
        rest = tail;
    }
    rest.is_empty().then(|| Uuid::from_bytes(bytes))
}

fn bytea(text: &str) -> Option<Vec<u8>> {
    let (pairs, odd) = text.strip_prefix("\\x")?.as_bytes().as_chunks();
    if !odd.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| hex_byte(high, low)).collect()
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests;
