//! Room for long messages that clients are sending: bounded for all of them together.
//!
//! A message is kept until it is whole. Many clients that send a long one each, or half of it and
//! then nothing, must not fill memory: past the bound they wait for each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Shorter messages need no room of their own: there are at most as many as clients.
const SHORT: usize = 256 * 1024;
/// Of how many of the longest messages there is room.
const MESSAGES: usize = 4;
const UNIT: usize = 1024;
/// How long a client waits for the others' messages.
const PATIENCE: Duration = Duration::from_secs(30);

/// The room of one process.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

/// A part of it.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// There was no place in time.
#[derive(Debug)]
pub(super) struct Full;

impl Room {
    /// For messages of at most so many bytes.
    pub fn new(max_message: usize) -> Self {
        let units = units(max_message) as usize * MESSAGES;
        Self(Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))))
    }

    /// A place for a message of so many bytes; `None`: it needs none.
    pub(super) async fn place(&self, bytes: usize) -> Result<Option<Place>, Full> {
        if bytes <= SHORT {
            return Ok(None);
        }
        let units = units(bytes);
        if let Ok(place) = self.0.clone().try_acquire_many_owned(units) {
            return Ok(Some(Place { _permit: place }));
        }
        let place = self.0.clone().acquire_many_owned(units);
        match tokio::time::timeout(PATIENCE, place).await {
            Ok(Ok(place)) => Ok(Some(Place { _permit: place })),
            _ => Err(Full),
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn places_are_given_back() {
        let room = Room::new(1 << 20);
        let place = || room.place(1 << 20).now_or_never().expect("no wait").expect("a place");
        let mut places: Vec<_> = (0..MESSAGES).map(|_| place()).collect();
        assert_eq!(room.0.available_permits(), 0);
        assert!(room.place(SHORT).now_or_never().expect("no wait").expect("room").is_none());
        places.pop();
        assert!(place().is_some());
    }
}
