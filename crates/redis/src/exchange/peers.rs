//! How old the news may be.
//!
//! Each gateway says from time to time up to which post it has read, after it has posted all that
//! it had to post when it read that one. Where that post is a beat of one's own, or a later one,
//! all that the other's clients were told before one said that beat has come. So no clocks are
//! compared.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So many of one's own beats are remembered.
const BEATS: usize = 64;

/// The other gateways, and one's own beats.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// The last post that was read; `None`: there is no subscription.
    last: Option<u64>,
    /// Beats on their way, by their order: when they were said.
    said: VecDeque<(u64, Instant)>,
    /// Beats that came back: their numbers, and when they were said.
    beats: VecDeque<(u64, Instant)>,
    others: HashMap<String, Peer>,
}

#[derive(Debug)]
struct Peer {
    seen: Instant,
    /// All that its clients were told before then was read.
    known: Option<Instant>,
}

impl Peer {
    fn is_there(&self, after: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) < after
    }
}

impl Peers {
    /// A subscription begins after this post, with these others.
    pub(super) fn enter(&mut self, last: u64, others: impl Iterator<Item = String>, now: Instant) {
        let others = others.map(|name| (name, Peer { seen: now, known: None })).collect();
        *self = Self { last: Some(last), others, ..Self::default() };
    }

    /// The subscription is lost.
    pub(super) fn lose(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn last(&self) -> Option<u64> {
        self.last
    }

    /// A post came. False: it isn't the one after the last.
    pub(super) fn read(&mut self, number: u64) -> bool {
        let follows = self.last.is_some_and(|last| last.wrapping_add(1) == number);
        self.last = Some(number);
        follows
    }

    /// A beat of one's own is about to be said.
    pub(super) fn say(&mut self, beat: u64, now: Instant) {
        self.said.push_back((beat, now));
        if self.said.len() > BEATS {
            self.said.pop_front();
        }
    }

    /// It has come back, as the post of this number.
    pub(super) fn heard(&mut self, beat: u64, number: u64) {
        while let Some((said, at)) = self.said.pop_front() {
            if said == beat {
                self.beats.push_back((number, at));
            }
            if said >= beat {
                break;
            }
        }
        if self.beats.len() > BEATS {
            self.beats.pop_front();
        }
    }

    /// Another has posted; with a beat it says up to which post it had read.
    pub(super) fn other(&mut self, name: &str, read: Option<u64>, now: Instant) {
        let proven = read.and_then(|read| {
            self.beats.iter().rev().find(|(number, _)| *number <= read).map(|(_, at)| *at)
        });
        match self.others.get_mut(name) {
            Some(peer) => {
                peer.seen = now;
                peer.known = peer.known.max(proven);
            }
            None => {
                self.others.insert(name.to_owned(), Peer { seen: now, known: proven });
            }
        }
    }

    /// Another has said goodbye.
    pub(super) fn left(&mut self, name: &str) {
        self.others.remove(name);
    }

    /// Whether one has said nothing for so long.
    pub(super) fn misses(&self, after: Duration, now: Instant) -> bool {
        self.others.values().any(|peer| !peer.is_there(after, now))
    }

    /// Forgets those.
    pub(super) fn forget(&mut self, after: Duration, now: Instant) {
        self.others.retain(|name, peer| {
            let is_there = peer.is_there(after, now);
            if !is_there {
                tracing::warn!(
                    gateway = name,
                    ?after,
                    "another gateway has said nothing for long: it isn't waited for any more"
                );
            }
            is_there
        });
    }

    /// When the last of one's own beats that came back was said.
    pub(super) fn own(&self) -> Option<Instant> {
        self.beats.back().map(|(_, at)| *at)
    }

    /// All that anybody's clients were told before then was read.
    pub(super) fn known(&self) -> Option<Instant> {
        let others = self.others.values().map(|peer| peer.known);
        // `None` is less than any moment.
        others.chain([self.own()]).min().flatten()
    }
}

/// The same moment, to be read without a lock.
#[derive(Debug)]
pub(super) struct Lag {
    began: Instant,
    /// Nanoseconds after the beginning; 0: nothing is known.
    known: AtomicU64,
}

impl Default for Lag {
    fn default() -> Self {
        Self { began: Instant::now(), known: AtomicU64::new(0) }
    }
}

impl Lag {
    pub(super) fn note(&self, known: Option<Instant>) {
        let since =
            known.map_or(0, |at| at.saturating_duration_since(self.began).as_nanos().max(1));
        self.known.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> Option<Duration> {
        match self.known.load(Ordering::SeqCst) {
            0 => None,
            since => Some(self.began.elapsed().saturating_sub(Duration::from_nanos(since))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(began: Instant, seconds: u64) -> Instant {
        began + Duration::from_secs(seconds)
    }

    #[test]
    fn the_slowest_of_all_is_what_is_known() {
        let (mut peers, began) = (Peers::default(), Instant::now());
        peers.enter(10, ["a".to_owned(), "b".to_owned()].into_iter(), began);
        peers.say(1, after(began, 1));
        assert!(peers.read(11));
        peers.heard(1, 11);
        assert_eq!((peers.own(), peers.known()), (Some(after(began, 1)), None));
        // One that had not read the beat proves nothing.
        peers.other("a", Some(10), after(began, 2));
        assert_eq!(peers.known(), None);
        peers.other("a", Some(11), after(began, 2));
        peers.other("b", Some(30), after(began, 2));
        assert_eq!(peers.known(), Some(after(began, 1)));
        peers.say(2, after(began, 3));
        peers.heard(2, 15);
        peers.other("a", Some(15), after(began, 4));
        assert_eq!(peers.known(), Some(after(began, 1)));
        peers.other("b", Some(16), after(began, 5));
        assert_eq!(peers.known(), Some(after(began, 3)));
        // A newcomer proves nothing before it has read a beat, and a post alone is no proof.
        peers.other("c", None, after(began, 5));
        assert_eq!(peers.known(), None);
        peers.left("c");
        assert_eq!(peers.known(), Some(after(began, 3)));
    }

    #[test]
    fn who_says_nothing_is_waited_for_and_then_forgotten() {
        let (mut peers, began) = (Peers::default(), Instant::now());
        peers.enter(0, ["a".to_owned()].into_iter(), began);
        peers.say(1, began);
        peers.heard(1, 1);
        let patience = Duration::from_secs(15);
        assert!(!peers.misses(patience, after(began, 14)));
        peers.forget(patience, after(began, 14));
        assert_eq!(peers.known(), None);
        assert!(peers.misses(patience, after(began, 15)));
        peers.forget(patience, after(began, 15));
        assert_eq!(peers.known(), Some(began));
    }

    #[test]
    fn gaps_are_seen() {
        let mut peers = Peers::default();
        assert!(!peers.read(5));
        peers.enter(5, std::iter::empty(), Instant::now());
        assert!(peers.read(6) && !peers.read(8) && peers.read(9) && !peers.read(1));
        peers.lose();
        assert_eq!((peers.last(), peers.known()), (None, None));
    }

    #[test]
    fn beats_that_never_came_back_are_passed_over() {
        let (mut peers, began) = (Peers::default(), Instant::now());
        peers.enter(0, std::iter::empty(), began);
        peers.say(1, after(began, 1));
        peers.say(2, after(began, 2));
        peers.heard(2, 7);
        assert_eq!(peers.known(), Some(after(began, 2)));
        peers.heard(1, 8);
        assert_eq!(peers.known(), Some(after(began, 2)));
    }

    #[test]
    fn lag_without_a_lock() {
        let lag = Lag::default();
        assert_eq!(lag.now(), None);
        lag.note(Some(Instant::now()));
        assert!(lag.now().is_some());
        lag.note(None);
        assert_eq!(lag.now(), None);
    }
}
