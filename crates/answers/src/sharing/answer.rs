//! An answer as gateways keep it for each other.
//!
//! ```text
//! "FWA1"  crc32 of all that follows  flags  age, ms  lifetime, ms  key  versions
//! the answer's length  the answer, LZ4 where that is shorter
//! ```
//!
//! Whatever isn't as it was written (cut off, changed, of another form, of another key that has the
//! same name) is no answer.

use std::time::Duration;

use bytes::Bytes;

const MAGIC: &[u8; 4] = b"FWA1";
const COMPRESSED: u8 = 1;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// All that it depends on beside versions.
    pub(super) key: Vec<u8>,
    pub(super) versions: Vec<u64>,
    /// How old it was when it was written.
    pub(super) age: Duration,
    /// For how long it was written.
    pub(super) lifetime: Duration,
    pub(super) bytes: Bytes,
}

impl Answer {
    /// Compressed where it is longer than `compress_above`.
    pub(super) fn write(&self, compress_above: usize) -> Vec<u8> {
        let compressed =
            (self.bytes.len() > compress_above).then(|| lz4_flex::block::compress(&self.bytes));
        let compressed = compressed.filter(|compressed| compressed.len() < self.bytes.len());
        let mut out =
            Vec::with_capacity(64 + self.key.len() + self.versions.len() * 8 + self.bytes.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.push(if compressed.is_some() { COMPRESSED } else { 0 });
        let millis =
            |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        out.extend_from_slice(&millis(self.age));
        out.extend_from_slice(&millis(self.lifetime));
        out.extend_from_slice(&length(self.key.len()));
        out.extend_from_slice(&self.key);
        out.extend_from_slice(&length(self.versions.len()));
        self.versions.iter().for_each(|version| out.extend_from_slice(&version.to_be_bytes()));
        out.extend_from_slice(&length(self.bytes.len()));
        out.extend_from_slice(compressed.as_deref().unwrap_or(&self.bytes));
        let sum = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&sum.to_be_bytes());
        out
    }

    /// `None`: it isn't one, or is longer than `max`.
    pub(super) fn read(bytes: &[u8], max: usize) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (sum, mut rest) = rest.split_first_chunk::<4>()?;
        if crc32fast::hash(rest) != u32::from_be_bytes(*sum) {
            return None;
        }
        let rest = &mut rest;
        let [flags] = take::<1>(rest)?;
        let age = Duration::from_millis(u64::from_be_bytes(take(rest)?));
        let lifetime = Duration::from_millis(u64::from_be_bytes(take(rest)?));
        let key_length = length(rest)?;
        let (key, after_key) = rest.split_at_checked(key_length)?;
        *rest = after_key;
        let mut versions = Vec::new();
        for _ in 0..length(rest)? {
            versions.push(u64::from_be_bytes(take(rest)?));
        }
        let length = length(rest)?;
        if length > max {
            return None;
        }
        let bytes = match flags {
            0 => Bytes::copy_from_slice(rest),
            COMPRESSED => lz4_flex::block::decompress(rest, length).ok()?.into(),
            _ => return None,
        };
        (bytes.len() == length).then(|| Self { key: key.to_vec(), versions, age, lifetime, bytes })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(take(rest)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: &[u8]) -> Answer {
        Answer {
            key: b"a key".to_vec(),
            versions: vec![1, u64::MAX],
            age: Duration::from_millis(17),
            lifetime: Duration::from_secs(60),
            bytes: Bytes::copy_from_slice(bytes),
        }
    }

    #[test]
    fn is_read_as_it_was_written() {
        for bytes in [&b""[..], b"short", &[7; 10_000]] {
            for above in [0, 4096, usize::MAX] {
                let written = answer(bytes).write(above);
                assert_eq!(Answer::read(&written, 10_000), Some(answer(bytes)));
            }
        }
        assert!(answer(&[7; 10_000]).write(4096).len() < 1000);
        assert!(answer(&[7; 10_000]).write(usize::MAX).len() > 10_000);
        // What compression makes longer stays as it is.
        let noise: Vec<u8> = (0..255_u8).collect();
        assert_eq!(answer(&noise).write(0).len(), answer(&noise).write(usize::MAX).len());
    }

    #[test]
    fn what_is_spoilt_is_none() {
        let written = answer(&[7; 300]).write(0);
        for end in 0..written.len() {
            assert_eq!(Answer::read(&written[..end], 1000), None);
        }
        for at in 0..written.len() {
            let mut changed = written.clone();
            changed[at] ^= 0x40;
            assert_eq!(Answer::read(&changed, 1000), None, "byte {at}");
        }
        assert_eq!(Answer::read(&written, 299), None);
    }
}
