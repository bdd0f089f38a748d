//! What a server says.

use std::fmt;

/// A result column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The position of the table's column that it is; 0 for none. The table's own number differs
    /// between databases.
    pub column: i16,
    /// Its type.
    pub type_oid: u32,
    /// The type's size.
    pub type_size: i16,
    /// The type's modifier.
    pub modifier: i32,
    /// 0 for text, 1 for binary.
    pub format: i16,
}

/// An error's or a notice's fields by code, without those that tell of the server's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(pub Vec<(char, String)>);

impl Report {
    /// A field.
    pub fn field(&self, code: char) -> Option<&str> {
        self.0.iter().find(|(each, _)| *each == code).map(|(_, text)| text.as_str())
    }

    /// SQLSTATE.
    pub fn state(&self) -> &str {
        self.field('C').unwrap_or_default()
    }
}

/// One message of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// ParseComplete, BindComplete and others without content, by their type.
    Bare(char),
    /// ParameterDescription.
    Parameters(Vec<u32>),
    /// RowDescription.
    Columns(Vec<Field>),
    /// DataRow.
    Row(Vec<Option<Vec<u8>>>),
    /// CommandComplete.
    Done(String),
    /// ErrorResponse.
    Error(Report),
    /// NoticeResponse.
    Notice(Report),
    /// ParameterStatus.
    Setting(String, String),
    /// ReadyForQuery with the transaction's status.
    Ready(char),
    /// Any other message.
    Other(char, Vec<u8>),
}

impl Event {
    pub(super) fn read(tag: u8, body: &[u8]) -> Option<Self> {
        let mut body = Body(body);
        Some(match tag {
            b'1' | b'2' | b'3' | b'n' | b's' | b'I' => Self::Bare(tag.into()),
            b't' => {
                let count = body.i16()?;
                Self::Parameters((0..count).map(|_| body.u32()).collect::<Option<_>>()?)
            }
            b'T' => {
                let count = body.i16()?;
                Self::Columns((0..count).map(|_| field(&mut body)).collect::<Option<_>>()?)
            }
            b'D' => {
                let count = body.i16()?;
                Self::Row((0..count).map(|_| value(&mut body)).collect::<Option<_>>()?)
            }
            b'C' => Self::Done(body.string()?),
            b'E' => Self::Error(report(&mut body)?),
            b'N' => Self::Notice(report(&mut body)?),
            b'S' => Self::Setting(body.string()?, body.string()?),
            b'Z' => Self::Ready(body.take(1)?[0].into()),
            _ => Self::Other(tag.into(), body.0.to_vec()),
        })
    }
}

fn field(body: &mut Body<'_>) -> Option<Field> {
    let name = body.string()?;
    body.u32()?;
    Some(Field {
        name,
        column: body.i16()?,
        type_oid: body.u32()?,
        type_size: body.i16()?,
        modifier: body.i32()?,
        format: body.i16()?,
    })
}

#[allow(clippy::option_option, reason = "NULL is a value, and a message may be cut short")]
fn value(body: &mut Body<'_>) -> Option<Option<Vec<u8>>> {
    let length = body.i32()?;
    match usize::try_from(length) {
        Err(_) => Some(None),
        Ok(length) => Some(Some(body.take(length)?.to_vec())),
    }
}

fn report(body: &mut Body<'_>) -> Option<Report> {
    let mut fields = Vec::new();
    loop {
        match body.take(1)?[0] {
            0 => return Some(Report(fields)),
            // Severity in the server's language, file, line, routine, and the context of functions.
            b'S' | b'F' | b'L' | b'R' | b'W' => {
                body.string()?;
            }
            code => fields.push((code.into(), body.string()?)),
        }
    }
}

/// What is left of a message.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn string(&mut self) -> Option<String> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let text = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Some(text)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare(tag) => write!(f, "message '{tag}'"),
            Self::Parameters(types) => write!(f, "parameters of types {types:?}"),
            Self::Columns(fields) => {
                write!(f, "columns")?;
                for each in fields {
                    write!(
                        f,
                        " {}(type {} size {} modifier {} column {} format {})",
                        each.name,
                        each.type_oid,
                        each.type_size,
                        each.modifier,
                        each.column,
                        each.format
                    )?;
                }
                Ok(())
            }
            Self::Row(values) => {
                write!(f, "row")?;
                for value in values {
                    match value {
                        None => write!(f, " | NULL")?,
                        Some(value)
                            if value
                                .iter()
                                .all(|byte| (0x20..0x7f).contains(byte) || *byte >= 0x80) =>
                        {
                            write!(f, " | {}", String::from_utf8_lossy(value))?;
                        }
                        Some(value) => write!(
                            f,
                            " | 0x{}",
                            value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
                        )?,
                    }
                }
                Ok(())
            }
            Self::Done(tag) => write!(f, "done {tag}"),
            Self::Error(Report(fields)) => write!(f, "error {fields:?}"),
            Self::Notice(Report(fields)) => write!(f, "notice {fields:?}"),
            Self::Setting(name, value) => write!(f, "setting {name} = {value}"),
            Self::Ready(status) => write!(f, "ready {status}"),
            Self::Other(tag, body) => write!(f, "message '{tag}' {body:?}"),
        }
    }
}
