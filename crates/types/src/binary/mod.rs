//! PostgreSQL's binary format: what its `*_send` functions write and its `*_recv` functions read.

mod numeric;

use uuid::Uuid;

use crate::{Scalar, TypeInfo, Value, calendar, text};

/// Reads a binary-format value of type `ty`; `None` for a type that isn't read natively, for bytes
/// that aren't a value of it, and for a value that the type's modifier would change or refuse.
///
/// Documents are taken as they are. PostgreSQL sends `jsonb` in canonical form, a client needn't:
/// see [`is_canonical`].
#[must_use]
pub fn decode(ty: &TypeInfo, bytes: &[u8]) -> Option<Value> {
    Some(match ty.scalar {
        Scalar::Bool => Value::Bool(fixed::<1>(bytes)? != [0]),
        Scalar::Int2 => Value::Int(i16::from_be_bytes(fixed(bytes)?).into()),
        Scalar::Int4 => Value::Int(i32::from_be_bytes(fixed(bytes)?).into()),
        Scalar::Int8 => Value::Int(i64::from_be_bytes(fixed(bytes)?)),
        Scalar::Float4 => Value::Float4(f32::from_be_bytes(fixed(bytes)?)),
        Scalar::Float8 => Value::Float8(f64::from_be_bytes(fixed(bytes)?)),
        Scalar::Numeric(modifier) => numeric::decode(bytes, modifier)?,
        Scalar::Text => Value::Text(storable(bytes)?),
        Scalar::Varchar(limit) => {
            Value::Text(storable(bytes).filter(|text| text::within(limit, text))?)
        }
        Scalar::Bpchar(length) => {
            Value::Bpchar(storable(bytes).and_then(|text| text::padded(length, &text))?)
        }
        Scalar::Uuid => Value::Uuid(Uuid::from_bytes(fixed(bytes)?)),
        Scalar::Timestamp => Value::Timestamp(moment(ty, bytes)?),
        Scalar::Timestamptz => Value::Timestamptz(moment(ty, bytes)?),
        Scalar::Date => date(i32::from_be_bytes(fixed(bytes)?))?,
        Scalar::Time => {
            let micros = i64::from_be_bytes(fixed(bytes)?);
            let valid = (0..=calendar::MICROS_PER_DAY).contains(&micros) && ty.keeps(micros);
            Value::Time(valid.then_some(micros)?)
        }
        Scalar::Printed(printed) => Value::Other(printed.decode(bytes)?),
        Scalar::Enum => Value::Other(storable(bytes)?),
        Scalar::Json => Value::Json(storable(bytes)?),
        Scalar::Jsonb => Value::Json(storable(bytes.strip_prefix(&[JSONB_VERSION])?)?),
        Scalar::Bytea => Value::Bytea(bytes.to_owned()),
        Scalar::Other => return None,
    })
}

/// Whether the bytes that a client sends of such a type need nothing of PostgreSQL once [`decode`]
/// has read them. False for documents, which PostgreSQL must validate (`json`) or canonicalise
/// (`jsonb`) first, for enums, whose labels it knows, and for types that aren't read.
#[must_use]
pub fn is_canonical(scalar: Scalar) -> bool {
    !matches!(scalar, Scalar::Json | Scalar::Jsonb | Scalar::Enum | Scalar::Other)
}

/// Appends the value in the binary format of `ty`; false, and nothing appended, when the type has
/// no native binary form or the value isn't one of it. NULL is such a value: its absence is the
/// caller's to encode.
#[must_use]
pub fn encode(ty: &TypeInfo, value: &Value, out: &mut Vec<u8>) -> bool {
    match (ty.scalar, value) {
        (Scalar::Bool, Value::Bool(flag)) => out.push(u8::from(*flag)),
        (Scalar::Int2, Value::Int(number)) => match i16::try_from(*number) {
            Ok(number) => out.extend_from_slice(&number.to_be_bytes()),
            Err(_) => return false,
        },
        (Scalar::Int4, Value::Int(number)) => match i32::try_from(*number) {
            Ok(number) => out.extend_from_slice(&number.to_be_bytes()),
            Err(_) => return false,
        },
        (Scalar::Int8, Value::Int(number)) => out.extend_from_slice(&number.to_be_bytes()),
        (Scalar::Float4, Value::Float4(number)) => out.extend_from_slice(&number.to_be_bytes()),
        (Scalar::Float8, Value::Float8(number)) => out.extend_from_slice(&number.to_be_bytes()),
        (Scalar::Numeric(_), Value::Numeric(text)) => return numeric::encode(text, out),
        (Scalar::Text | Scalar::Varchar(_), Value::Text(text))
        | (Scalar::Bpchar(_), Value::Bpchar(text))
        | (Scalar::Enum, Value::Other(text))
        | (Scalar::Json, Value::Json(text)) => out.extend_from_slice(text.as_bytes()),
        (Scalar::Jsonb, Value::Json(text)) => {
            out.push(JSONB_VERSION);
            out.extend_from_slice(text.as_bytes());
        }
        (Scalar::Uuid, Value::Uuid(uuid)) => out.extend_from_slice(uuid.as_bytes()),
        (Scalar::Printed(printed), Value::Other(text)) => return printed.encode(text, out),
        (Scalar::Time, Value::Time(micros))
        | (Scalar::Timestamp, Value::Timestamp(micros))
        | (Scalar::Timestamptz, Value::Timestamptz(micros)) => {
            out.extend_from_slice(&micros.to_be_bytes())
        }
        (Scalar::Date, Value::Date(days)) => out.extend_from_slice(&days.to_be_bytes()),
        (Scalar::Bytea, Value::Bytea(bytes)) => out.extend_from_slice(bytes),
        _ => return false,
    }
    true
}

/// `jsonb_send` puts it before the text.
const JSONB_VERSION: u8 = 1;

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn storable(bytes: &[u8]) -> Option<String> {
    text::storable(std::str::from_utf8(bytes).ok()?)
}

/// The microseconds of a timestamp.
fn moment(ty: &TypeInfo, bytes: &[u8]) -> Option<i64> {
    let micros = i64::from_be_bytes(fixed(bytes)?);
    let valid = matches!(micros, i64::MIN | i64::MAX) || calendar::is_valid_timestamp(micros);
    (valid && ty.keeps(micros)).then_some(micros)
}

fn date(days: i32) -> Option<Value> {
    let valid = matches!(days, i32::MIN | i32::MAX) || calendar::is_valid_date(days.into());
    valid.then_some(Value::Date(days))
}

#[cfg(test)]
mod tests;
