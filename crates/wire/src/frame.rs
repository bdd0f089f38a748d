//! Cuts a byte stream into messages: a tag, a length of four bytes that counts itself, a body.
//!
//! The length is checked against a limit before anything is buffered for it, so that a peer can't
//! make the gateway allocate more than the limit, and before login that limit is small.

use bytes::{Bytes, BytesMut};
use thiserror::Error;

/// Bytes before the body: the tag and the length.
pub const HEADER_LEN: usize = 5;

/// The longest message accepted before login: a password or SCRAM message.
pub const MAX_LOGIN_MESSAGE: usize = 64 * 1024;

/// One message with its header, exactly as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    raw: Bytes,
}

/// A header that can't be the start of a message. The stream can't be resynchronised after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The length doesn't even count itself.
    #[error("message '{}' has length {len}, below the minimum of 4", tag.escape_ascii())]
    TooShort {
        /// The message's tag.
        tag: u8,
        /// The length it claims.
        len: i32,
    },
    /// The message is longer than the limit.
    #[error("message '{}' of {len} bytes is longer than the limit of {max} bytes", tag.escape_ascii())]
    TooLong {
        /// The message's tag.
        tag: u8,
        /// The length it claims.
        len: usize,
        /// The limit.
        max: usize,
    },
}

impl Frame {
    /// The message's tag.
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.raw[0]
    }

    /// What follows the length.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.raw[HEADER_LEN..]
    }

    /// The whole message, header included.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
}

/// The tag and whole length (header included) of the message at the start of `buf`; `None` when the
/// header isn't there yet.
///
/// # Errors
/// A length below 4 or above `max` (which bounds the length field).
pub fn peek(buf: &[u8], max: usize) -> Result<Option<(u8, usize)>, FrameError> {
    let Some(&[tag, a, b, c, d]) = buf.first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let len = i32::from_be_bytes([a, b, c, d]);
    match usize::try_from(len) {
        Ok(len) if len > max => Err(FrameError::TooLong { tag, len, max }),
        Ok(len) if len >= 4 => Ok(Some((tag, len + 1))),
        _ => Err(FrameError::TooShort { tag, len }),
    }
}

/// Takes the next whole message off `buf`; `None` when more bytes are needed.
///
/// # Errors
/// As [`peek`].
pub fn take(buf: &mut BytesMut, max: usize) -> Result<Option<Frame>, FrameError> {
    match peek(buf, max)? {
        Some((_, len)) if buf.len() >= len => Ok(Some(Frame { raw: buf.split_to(len).freeze() })),
        Some((_, len)) => {
            // A large message grows the buffer as its bytes come, not at once on the word of its
            // header.
            buf.reserve((len - buf.len()).min(64 * 1024));
            Ok(None)
        }
        None => Ok(None),
    }
}

/// A piece of a server's stream, for forwarding without decoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of DataRow and CopyData messages, cut anywhere.
    Bulk(Bytes),
    /// Any other message, whole.
    Message(Frame),
}

/// Cuts a server's stream: bulk messages pass in whatever pieces they arrive, the others are given
/// whole.
#[derive(Debug, Default)]
pub struct Cutter {
    /// Bytes of the current bulk message that haven't come yet.
    bulk_left: usize,
}

impl Cutter {
    /// Takes the next piece off `buf`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// As [`peek`]; `max` doesn't bound bulk messages, whose bytes aren't kept.
    pub fn next(&mut self, buf: &mut BytesMut, max: usize) -> Result<Option<Piece>, FrameError> {
        let bulk = self.bulk_run(buf)?;
        if bulk > 0 {
            return Ok(Some(Piece::Bulk(buf.split_to(bulk).freeze())));
        }
        Ok(take(buf, max)?.map(Piece::Message))
    }

    /// The length of the run of bulk bytes at the start of `buf`.
    fn bulk_run(&mut self, buf: &BytesMut) -> Result<usize, FrameError> {
        let mut run = 0;
        loop {
            let here = self.bulk_left.min(buf.len() - run);
            run += here;
            self.bulk_left -= here;
            if self.bulk_left > 0 {
                return Ok(run);
            }
            match peek(&buf[run..], i32::MAX as usize)? {
                Some((b'D' | b'd', len)) => self.bulk_left = len,
                _ => return Ok(run),
            }
        }
    }

    /// Whether the stream stands between two messages.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.bulk_left == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        out.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn refuses_lengths_that_lie() {
        let mut short = BytesMut::from(&[b'Q', 0, 0, 0, 3][..]);
        assert_eq!(take(&mut short, 100), Err(FrameError::TooShort { tag: b'Q', len: 3 }));
        let mut negative = BytesMut::from(&[b'p', 0xff, 0xff, 0xff, 0xff][..]);
        assert_eq!(take(&mut negative, 100), Err(FrameError::TooShort { tag: b'p', len: -1 }));
        let mut long = BytesMut::from(&[b'Q', 0, 0, 0, 101][..]);
        assert_eq!(
            take(&mut long, 100),
            Err(FrameError::TooLong { tag: b'Q', len: 101, max: 100 })
        );
    }

    proptest! {
        /// However the stream is cut into reads, the same messages come out.
        #[test]
        fn messages_survive_any_chunking(
            messages in prop::collection::vec(
                (any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)),
                0..20,
            ),
            cuts in prop::collection::vec(1..30usize, 1..50),
        ) {
            let stream: Vec<u8> =
                messages.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
            let mut buf = BytesMut::new();
            let mut seen = Vec::new();
            let mut rest = &stream[..];
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                buf.extend_from_slice(now);
                rest = later;
                while let Some(frame) = take(&mut buf, 1000).unwrap() {
                    seen.push((frame.tag(), frame.body().to_vec()));
                }
            }
            prop_assert!(buf.is_empty());
            prop_assert_eq!(seen, messages);
        }

        /// The cutter forwards every byte, in order, and gives whole messages for all but bulk
        /// ones.
        #[test]
        fn the_cutter_loses_nothing(
            messages in prop::collection::vec((prop::sample::select(b"DdCZTSE".to_vec()), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            cut in 1..50usize,
        ) {
            let stream: Vec<u8> =
                messages.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
            let (mut buf, mut out, mut cutter) = (BytesMut::new(), Vec::new(), Cutter::default());
            for chunk in stream.chunks(cut) {
                buf.extend_from_slice(chunk);
                while let Some(piece) = cutter.next(&mut buf, 1000).unwrap() {
                    match piece {
                        Piece::Bulk(bytes) => out.extend_from_slice(&bytes),
                        Piece::Message(frame) => {
                            prop_assert!(!matches!(frame.tag(), b'D' | b'd'));
                            out.extend_from_slice(frame.raw());
                        }
                    }
                }
            }
            prop_assert!(cutter.at_boundary());
            prop_assert_eq!(out, stream);
        }

        /// Arbitrary bytes are cut or refused, never a panic, and never buffered past the limit.
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buf = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take(&mut buf, 64) {}
            let mut buf = BytesMut::from(&bytes[..]);
            let mut cutter = Cutter::default();
            while let Ok(Some(_)) = cutter.next(&mut buf, 64) {}
        }
    }
}
