//! Texts of clients whose `client_encoding` isn't UTF8. PostgreSQL converts them, as well as what
//! it answers; here they are only read for their words, all of which are ASCII.
//!
//! What stands outside ASCII in such a text is read as private characters, one for each byte, and
//! is written as the same bytes again: nothing is converted here, and nothing lost. In some
//! encodings the second byte of a character may be one of ASCII's, a backslash or a letter, which
//! isn't one there: both bytes are one private character.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::{Frame, frame};

/// How the bytes of a session's texts are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Charset {
    /// As UTF-8.
    #[default]
    Utf8,
    /// Bytes below 128 are ASCII's, wherever they stand.
    Bytes,
    /// Behind a byte from 128 on stands another one of the same character.
    Pairs,
    /// The same, but for katakana, which are one byte each.
    ShiftJis,
}

/// The type of a Query.
const QUERY: u8 = b'Q';
/// The type of a Parse.
const PARSE: u8 = b'P';

/// The first of the private characters.
const PRIVATE: u32 = 0xf_0000;

impl Charset {
    /// That of a `client_encoding`, as a server of this `server_encoding` reports it.
    #[must_use]
    pub fn of(client_encoding: &str, server_encoding: &str) -> Self {
        match client_encoding {
            "UTF8" => Self::Utf8,
            // Nothing is converted.
            "SQL_ASCII" if server_encoding == "UTF8" => Self::Utf8,
            "BIG5" | "GBK" | "UHC" | "GB18030" | "JOHAB" => Self::Pairs,
            "SJIS" | "SHIFT_JIS_2004" => Self::ShiftJis,
            _ => Self::Bytes,
        }
    }

    /// Whether texts are UTF-8.
    #[must_use]
    pub fn is_utf8(self) -> bool {
        self == Self::Utf8
    }

    /// A text, or several that are ended by zeros. `None`: it isn't UTF-8, and should be.
    #[must_use]
    pub fn read(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        if self.is_utf8() || bytes.is_ascii() {
            return std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
        }
        let mut text = String::with_capacity(bytes.len() * 4);
        let mut rest = bytes.iter().copied().peekable();
        while let Some(byte) = rest.next() {
            if byte.is_ascii() {
                text.push(char::from(byte));
                continue;
            }
            let is_pair = match self {
                Self::Pairs => true,
                Self::ShiftJis => !(0xa1..=0xdf).contains(&byte),
                Self::Utf8 | Self::Bytes => false,
            };
            let second = rest.next_if(|second| is_pair && *second != 0);
            let number = match second {
                Some(second) => u32::from(u16::from_be_bytes([byte, second])),
                None => u32::from(byte),
            };
            text.extend(char::from_u32(PRIVATE + number));
        }
        Some(Cow::Owned(text))
    }

    /// The bytes of a text that was read, or of one of Flywheel's own: what isn't ASCII there has
    /// no bytes in most encodings.
    #[must_use]
    pub fn write(self, text: &str) -> Cow<'_, [u8]> {
        if self.is_utf8() || text.is_ascii() {
            return Cow::Borrowed(text.as_bytes());
        }
        let mut bytes = Vec::with_capacity(text.len());
        for character in text.chars() {
            match (character, u32::from(character).checked_sub(PRIVATE)) {
                (_, Some(number @ 0..=0xff)) => bytes.extend(u8::try_from(number)),
                (_, Some(number @ 0x100..=0xffff)) => {
                    bytes.extend(u16::try_from(number).unwrap_or_default().to_be_bytes());
                }
                ('…', _) => bytes.extend(b"..."),
                ('’', _) => bytes.push(b'\''),
                _ if character.is_ascii() => bytes.extend(u8::try_from(character)),
                _ => bytes.push(b'?'),
            }
        }
        Cow::Owned(bytes)
    }

    /// A Query or Parse with a text that can be read. `None`: the message is so itself, or has
    /// mistakes.
    #[must_use]
    pub fn readable(self, message: &Frame) -> Option<Frame> {
        let body = message.body();
        if self.is_utf8() || body.is_ascii() {
            return None;
        }
        let texts = match message.tag() {
            QUERY => body.len(),
            PARSE => {
                let name = memchr::memchr(0, body)? + 1;
                name + memchr::memchr(0, body.get(name..)?)? + 1
            }
            _ => return None,
        };
        let (texts, rest) = body.split_at_checked(texts)?;
        let mut out = BytesMut::new();
        self.read(texts)?.as_bytes().put_message(message.tag(), rest, &mut out);
        frame::take(&mut out, usize::MAX).ok()?
    }

    /// Writes a Query. Nothing may be a zero in the text.
    pub fn put_query(self, text: &str, out: &mut BytesMut) {
        self.write(text).put_message(QUERY, &[0], out);
    }

    /// Writes a Parse. The same goes for its texts.
    pub fn put_parse(self, name: &str, text: &str, types: &[u32], out: &mut BytesMut) {
        let mut texts = name.as_bytes().to_vec();
        texts.push(0);
        texts.extend_from_slice(&self.write(text));
        texts.push(0);
        let mut rest = BytesMut::new();
        rest.put_u16(u16::try_from(types.len()).unwrap_or(u16::MAX));
        types.iter().for_each(|oid| rest.put_u32(*oid));
        texts.put_message(PARSE, &rest, out);
    }
}

/// Bytes that begin a message.
trait Body {
    fn put_message(&self, tag: u8, rest: &[u8], out: &mut BytesMut);
}

impl Body for [u8] {
    fn put_message(&self, tag: u8, rest: &[u8], out: &mut BytesMut) {
        out.put_u8(tag);
        out.put_i32(i32::try_from(self.len() + rest.len() + 4).unwrap_or(i32::MAX));
        out.put_slice(self);
        out.put_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_byte_is_no_backslash() {
        // 表 and ソ end in one; ｱ is one byte, behind which a quote is one.
        let bytes = b"SELECT '\x95\x5c\x83\x5c', '\xb1'";
        let text = Charset::ShiftJis.read(bytes).unwrap();
        assert!(!text.contains('\\'));
        assert_eq!(text.matches('\'').count(), 4);
        assert_eq!(*Charset::ShiftJis.write(&text), bytes[..]);
    }

    #[test]
    fn a_text_of_ones_own_has_no_bytes_outside_ascii() {
        assert_eq!(*Charset::Bytes.write("INSERT … RETURNING"), b"INSERT ... RETURNING"[..]);
        assert_eq!(*Charset::Utf8.write("…"), *"…".as_bytes());
    }

    #[test]
    fn sql_ascii_is_what_the_server_has() {
        assert_eq!(Charset::of("SQL_ASCII", "UTF8"), Charset::Utf8);
        assert_eq!(Charset::of("SQL_ASCII", "LATIN1"), Charset::Bytes);
    }

    #[test]
    fn only_texts_of_a_parse_are_read() {
        let mut out = BytesMut::new();
        b"s\0SELECT '\xe4'\0".put_message(PARSE, &[0, 1, 0, 0, 0, 0x99], &mut out);
        let message = frame::take(&mut out, usize::MAX).unwrap().unwrap();
        let readable = Charset::Bytes.readable(&message).unwrap();
        let parse = crate::frontend::parse(&readable).unwrap();
        assert_eq!((parse.name.as_str(), &parse.parameter_types[..]), ("s", &[0x99][..]));
        let mut again = BytesMut::new();
        Charset::Bytes.put_parse("s", &parse.query, &parse.parameter_types, &mut again);
        assert_eq!(again, *message.raw());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_as_it_was(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for charset in [Charset::Bytes, Charset::Pairs, Charset::ShiftJis] {
                let text = charset.read(&bytes).unwrap().into_owned();
                prop_assert_eq!(&*charset.write(&text), &bytes[..]);
            }
        }
    }
}
