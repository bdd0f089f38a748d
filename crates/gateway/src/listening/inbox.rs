//! What a session is to be told when it is at rest.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::state::{Channel, Moment};

/// How much may wait for a client that doesn't read, or stays in its transaction.
const MOST: usize = 16 * 1024 * 1024;
/// What an entry takes beside its message.
const ENTRY: usize = 64;

/// Something that a session is to be told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// A NotificationResponse.
    Notification { channel: Channel, at: Moment, message: Bytes },
    /// The connection that listens was made anew: something may have been missed.
    Renewed,
}

/// What a session is to be told.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    told: VecDeque<Told>,
    bytes: usize,
    is_overfull: bool,
}

/// More has come than may wait.
#[derive(Debug)]
pub(crate) struct Overfull;

impl Inbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, told: Told) {
        let mut waiting = self.waiting();
        if waiting.is_overfull {
            return;
        }
        waiting.bytes += told.weight();
        if waiting.bytes > MOST {
            *waiting = Waiting { is_overfull: true, ..Waiting::default() };
        } else {
            waiting.told.push_back(told);
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// What comes first.
    pub(crate) fn take(&self) -> Result<Option<Told>, Overfull> {
        let mut waiting = self.waiting();
        if waiting.is_overfull {
            return Err(Overfull);
        }
        let told = waiting.told.pop_front();
        waiting.bytes -= told.as_ref().map_or(0, Told::weight);
        Ok(told)
    }

    /// Waits until something may be there.
    pub(crate) async fn news(&self) {
        if self.is_empty() {
            self.news.notified().await;
        }
    }

    fn is_empty(&self) -> bool {
        let waiting = self.waiting();
        waiting.told.is_empty() && !waiting.is_overfull
    }
}

impl Told {
    fn weight(&self) -> usize {
        match self {
            Self::Notification { message, .. } => message.len() + ENTRY,
            Self::Renewed => ENTRY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(at: Moment, length: usize) -> Told {
        Told::Notification { channel: "c".into(), at, message: vec![0; length].into() }
    }

    #[test]
    fn comes_in_order() {
        let inbox = Inbox::default();
        inbox.put(notification(1, 10));
        inbox.put(Told::Renewed);
        assert!(matches!(inbox.take(), Ok(Some(Told::Notification { at: 1, .. }))));
        assert!(matches!(inbox.take(), Ok(Some(Told::Renewed))));
        assert!(matches!(inbox.take(), Ok(None)));
        assert_eq!(inbox.waiting().bytes, 0);
    }

    #[test]
    fn is_bounded() {
        let inbox = Inbox::default();
        for at in 0..100 {
            inbox.put(notification(at, MOST / 50));
        }
        assert!(matches!(inbox.take(), Err(Overfull)));
        assert!(inbox.waiting().told.is_empty());
    }
}
