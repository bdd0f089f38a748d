//! The packets before login: a length of four bytes that counts itself, a code, and what the code
//! says follows.

use bytes::{Buf, BytesMut};
use thiserror::Error;

use crate::reader::Reader;

/// The longest startup packet, as PostgreSQL's `MAX_STARTUP_PACKET_LENGTH`.
pub const MAX_STARTUP_PACKET: usize = 10_000;

/// The newest minor version of protocol 3 that is spoken, as PostgreSQL 18's `PG_PROTOCOL_LATEST`:
/// cancel keys may be longer than 4 bytes.
pub const NEWEST_MINOR: u16 = 2;

const CANCEL_REQUEST: i32 = 80_877_102;
const SSL_REQUEST: i32 = 80_877_103;
const GSSENC_REQUEST: i32 = 80_877_104;

/// What a client sends first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartupPacket {
    /// SSLRequest: answered by one byte, then the client sends another packet.
    Ssl,
    /// GSSENCRequest: likewise.
    GssEnc,
    /// CancelRequest: no answer, the connection is closed.
    Cancel {
        /// The process id from BackendKeyData.
        process_id: i32,
        /// The secret key from BackendKeyData, of whatever length the client has made it: 4 bytes
        /// in protocol 3.0, up to 256 in 3.2.
        secret_key: Vec<u8>,
    },
    /// StartupMessage.
    Startup {
        /// Protocol version asked for, 3.
        major: u16,
        /// Its minor version.
        minor: u16,
        /// Names and values in their order: `user`, `database`, `options`, `_pq_.…` and settings.
        parameters: Vec<(String, String)>,
    },
}

/// A packet that isn't a startup packet of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StartupError {
    /// A length outside 8 … [`MAX_STARTUP_PACKET`]: most often another protocol (HTTP, TLS without
    /// SSLRequest).
    #[error("invalid length of startup packet")]
    Length,
    /// The body doesn't have the layout that its code asks for.
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Layout,
    /// TLS from the first byte by a client that doesn't say in it which protocol is to follow.
    #[error("received direct SSL connection request without ALPN protocol negotiation extension")]
    Protocol,
    /// Not protocol version 3.
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2")]
    Version {
        /// What was asked for.
        major: u16,
        /// What was asked for.
        minor: u16,
    },
}

/// Takes the packet off `buf`; `None` when more bytes are needed.
///
/// # Errors
/// The packet is refused and the connection should be closed.
pub fn take(buf: &mut BytesMut) -> Result<Option<StartupPacket>, StartupError> {
    let Some(prefix) = buf.first_chunk::<4>() else {
        return Ok(None);
    };
    let len = usize::try_from(i32::from_be_bytes(*prefix)).map_err(|_| StartupError::Length)?;
    if !(8..=MAX_STARTUP_PACKET).contains(&len) {
        return Err(StartupError::Length);
    }
    if buf.len() < len {
        return Ok(None);
    }
    let mut packet = buf.split_to(len);
    packet.advance(4);
    parse(&packet).map(Some)
}

fn parse(packet: &[u8]) -> Result<StartupPacket, StartupError> {
    let mut reader = Reader::new(packet);
    let code = reader.i32().ok_or(StartupError::Layout)?;
    match code {
        SSL_REQUEST => Ok(StartupPacket::Ssl),
        GSSENC_REQUEST => Ok(StartupPacket::GssEnc),
        CANCEL_REQUEST => {
            // One that is too short names no session; PostgreSQL doesn't answer it either.
            let process_id = reader.i32().unwrap_or_default();
            let secret_key = packet.get(8..).unwrap_or_default().to_vec();
            Ok(StartupPacket::Cancel { process_id, secret_key })
        }
        _ => {
            let (major, minor) = ((code.cast_unsigned() >> 16) as u16, (code & 0xffff) as u16);
            if major != 3 {
                return Err(StartupError::Version { major, minor });
            }
            let parameters = parameters(reader).ok_or(StartupError::Layout)?;
            Ok(StartupPacket::Startup { major, minor, parameters })
        }
    }
}

/// Pairs of zero-terminated strings, closed by an empty name which is the packet's last byte.
fn parameters(mut reader: Reader<'_>) -> Option<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    loop {
        let name = reader.str()?;
        if name.is_empty() {
            return reader.is_empty().then_some(parameters);
        }
        parameters.push((name.to_owned(), reader.str()?.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(body: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        out.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn reads_a_startup_message() {
        let mut buf = packet(b"\x00\x03\x00\x00user\0app\0database\0shop\0\0");
        let StartupPacket::Startup { major, minor, parameters } = take(&mut buf).unwrap().unwrap()
        else {
            panic!()
        };
        assert_eq!((major, minor), (3, 0));
        assert_eq!(parameters, [("user".into(), "app".into()), ("database".into(), "shop".into())]);
    }

    #[test]
    fn refuses_what_is_not_postgresql() {
        assert_eq!(take(&mut BytesMut::from("GET / HTTP/1.1\r\n\r\n")), Err(StartupError::Length));
        assert_eq!(
            take(&mut packet(b"\x00\x02\x00\x00user\0\0")),
            Err(StartupError::Version { major: 2, minor: 0 })
        );
        assert_eq!(take(&mut packet(b"\x00\x03\x00\x00user\0app\0")), Err(StartupError::Layout));
        assert_eq!(take(&mut packet(b"\x00\x03\x00\x00user\0app\0\0x")), Err(StartupError::Layout));
    }

    #[test]
    fn a_cancel_request_has_a_key_of_any_length() {
        let code = CANCEL_REQUEST.to_be_bytes();
        for length in [0, 4, 32, 256, 300] {
            let body = [&code[..], &7_i32.to_be_bytes(), &vec![1; length]].concat();
            let expected = StartupPacket::Cancel { process_id: 7, secret_key: vec![1; length] };
            assert_eq!(take(&mut packet(&body)), Ok(Some(expected)));
        }
        assert!(matches!(
            take(&mut packet(&code)),
            Ok(Some(StartupPacket::Cancel { process_id: 0, .. }))
        ));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = take(&mut BytesMut::from(&bytes[..]));
            let _ = take(&mut packet(&bytes));
        }
    }
}
