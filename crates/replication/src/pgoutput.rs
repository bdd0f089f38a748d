//! The messages of PostgreSQL's output plugin, version 1, text format
//! ([protocol-logicalrep-message-formats](https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html)).

use bytes::{Buf, Bytes};

use crate::ReplicationError;

/// A message, as far as it tells of tables and rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// What a table is; comes before the first change of it, and again when its definition has
    /// changed.
    Relation(Definition),
    /// A row has changed: what is told of it before (only where its identity changed, or it went)
    /// and after.
    Row {
        /// The table's OID.
        relation: u32,
        /// The identity before.
        old: Option<Tuple>,
        /// The row after.
        new: Option<Tuple>,
    },
    /// Tables were emptied.
    Truncate(Vec<u32>),
    /// Something else.
    Other,
}

/// A table as the stream describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its OID.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns' names, in the order of the tuples.
    pub columns: Vec<String>,
    /// Its replica identity is the primary key, or whole rows: a row whose primary key changes is
    /// told as it was before.
    pub tells_key: bool,
}

/// A row's values in PostgreSQL's text format.
pub type Tuple = Vec<Field>;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// NULL; in an identity also a column that isn't part of it.
    Null,
    /// A large value that didn't change and isn't told.
    Unchanged,
    /// As text.
    Text(Bytes),
}

/// Reads a message.
///
/// # Errors
/// It ends too early, or isn't what pgoutput sends.
pub fn read(mut data: Bytes) -> Result<Message, ReplicationError> {
    match byte(&mut data)? {
        b'R' => definition(&mut data).map(Message::Relation),
        b'I' => {
            let relation = int32(&mut data)?;
            let (_, new) = (byte(&mut data)?, tuple(&mut data)?);
            Ok(Message::Row { relation, old: None, new: Some(new) })
        }
        b'U' => {
            let relation = int32(&mut data)?;
            let mut old = None;
            let mut which = byte(&mut data)?;
            if matches!(which, b'K' | b'O') {
                old = Some(tuple(&mut data)?);
                which = byte(&mut data)?;
            }
            if which != b'N' {
                return Err(ReplicationError::Message("an UPDATE without a row"));
            }
            let new = Some(tuple(&mut data)?);
            Ok(Message::Row { relation, old, new })
        }
        b'D' => {
            let relation = int32(&mut data)?;
            let (_, old) = (byte(&mut data)?, tuple(&mut data)?);
            Ok(Message::Row { relation, old: Some(old), new: None })
        }
        b'T' => {
            let count = int32(&mut data)?;
            byte(&mut data)?;
            let relations: Result<Vec<u32>, _> = (0..count).map(|_| int32(&mut data)).collect();
            relations.map(Message::Truncate)
        }
        _ => Ok(Message::Other),
    }
}

fn definition(data: &mut Bytes) -> Result<Definition, ReplicationError> {
    let oid = int32(data)?;
    let schema = string(data)?;
    let name = string(data)?;
    let identity = byte(data)?;
    let columns = (0..int16(data)?).map(|_| {
        byte(data)?;
        let name = string(data)?;
        int32(data)?;
        int32(data)?;
        Ok(name)
    });
    let columns: Result<_, ReplicationError> = columns.collect();
    Ok(Definition {
        oid,
        // So are the system's own tables told.
        schema: if schema.is_empty() { "pg_catalog".to_owned() } else { schema },
        name,
        columns: columns?,
        tells_key: matches!(identity, b'd' | b'f'),
    })
}

fn tuple(data: &mut Bytes) -> Result<Tuple, ReplicationError> {
    let fields = (0..int16(data)?).map(|_| match byte(data)? {
        b'n' => Ok(Field::Null),
        b'u' => Ok(Field::Unchanged),
        b't' | b'b' => {
            let length = int32(data)? as usize;
            if length > data.len() {
                return Err(EARLY);
            }
            Ok(Field::Text(data.split_to(length)))
        }
        _ => Err(ReplicationError::Message("a value of an unknown kind")),
    });
    fields.collect()
}

const EARLY: ReplicationError = ReplicationError::Message("it ends too early");

fn byte(data: &mut Bytes) -> Result<u8, ReplicationError> {
    data.try_get_u8().map_err(|_| EARLY)
}

fn int16(data: &mut Bytes) -> Result<u16, ReplicationError> {
    data.try_get_u16().map_err(|_| EARLY)
}

fn int32(data: &mut Bytes) -> Result<u32, ReplicationError> {
    data.try_get_u32().map_err(|_| EARLY)
}

fn string(data: &mut Bytes) -> Result<String, ReplicationError> {
    let end = data.iter().position(|byte| *byte == 0).ok_or(EARLY)?;
    let text = data.split_to(end);
    data.advance(1);
    String::from_utf8(text.into()).map_err(|_| ReplicationError::Message("a name that isn't UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_cut_anywhere_is_an_error() {
        let update = b"U\0\0\0\x07K\0\x02t\0\0\0\x011nN\0\x02t\0\0\0\x012u";
        let whole = read(Bytes::from_static(update)).expect("a message");
        let text = |text: &'static str| Field::Text(Bytes::from_static(text.as_bytes()));
        let expected = Message::Row {
            relation: 7,
            old: Some(vec![text("1"), Field::Null]),
            new: Some(vec![text("2"), Field::Unchanged]),
        };
        assert_eq!(whole, expected);
        let relation = b"R\0\0\0\x07public\0t\0d\0\x01\x01id\0\0\0\0\x17\xff\xff\xff\xff";
        assert!(
            matches!(read(Bytes::from_static(relation)), Ok(Message::Relation(definition)) if definition.columns == ["id"])
        );
        let truncate = b"T\0\0\0\x02\0\0\0\0\x07\0\0\0\x08";
        assert_eq!(
            read(Bytes::from_static(truncate)).expect("a message"),
            Message::Truncate(vec![7, 8])
        );
        for message in [&update[..], relation, truncate] {
            for end in 0..message.len() {
                assert!(
                    read(Bytes::copy_from_slice(&message[..end])).is_err(),
                    "{message:?} up to {end}"
                );
            }
        }
    }
}
