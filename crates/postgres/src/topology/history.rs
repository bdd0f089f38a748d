//! How far the primary's log was at which time.
//!
//! A replica that has replayed the log up to where the primary was at a moment has everything that
//! was committed before that moment. That one fact tells both its lag and whether a session that
//! has written may read from it; no server's clock is in it. A primary that has nothing to do makes
//! no log, so a replica that has replayed all is up to date however long ago the last transaction
//! was.

use std::collections::VecDeque;
use std::time::Instant;

/// Past this many samples those are forgotten that are close together for their age: how long ago
/// something was is known to one part in [`EXACTNESS`].
const KEPT: usize = 4096;
const EXACTNESS: u32 = 256;

/// Positions of the primary's log, with the moments before which they were asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    samples: VecDeque<(Instant, u64)>,
}

impl History {
    /// The log's end was at `position` at some time after `asked`.
    pub(super) fn push(&mut self, asked: Instant, position: u64) {
        match self.samples.back_mut() {
            // Asked later and no further: what was known of that position holds until now.
            Some((moment, last)) if *last == position => *moment = asked,
            // A log doesn't go back. Another server's, which this one has taken over from, says
            // nothing here.
            Some((_, last)) if *last > position => {
                self.samples.clear();
                self.samples.push_back((asked, position));
            }
            _ => self.samples.push_back((asked, position)),
        }
        if self.samples.len() > KEPT {
            let mut last: Option<Instant> = None;
            self.samples.retain(|(moment, _)| {
                let age = asked.saturating_duration_since(*moment);
                let is_apart = last.is_none_or(|last| *moment - last >= age / EXACTNESS);
                if is_apart {
                    last = Some(*moment);
                }
                is_apart
            });
            // Where that forgets nothing, the oldest go.
            while self.samples.len() > KEPT {
                self.samples.pop_front();
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.samples.clear();
    }

    /// The latest sample.
    pub(super) fn last(&self) -> Option<(Instant, u64)> {
        self.samples.back().copied()
    }

    /// The earliest sample's moment.
    pub(super) fn first(&self) -> Option<Instant> {
        self.samples.front().map(|(moment, _)| *moment)
    }

    /// Before which moment everything committed is in a server that has replayed up to `position`.
    pub(super) fn complete_until(&self, position: u64) -> Option<Instant> {
        let reached = self.samples.partition_point(|(_, sample)| *sample <= position);
        self.samples.get(reached.checked_sub(1)?).map(|(moment, _)| *moment)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_replica_is_as_complete_as_the_last_sample_that_it_has_reached() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut history = History::default();
        assert_eq!(history.complete_until(1000), None);
        for (seconds, position) in [(0, 100), (1, 200), (2, 200), (3, 300)] {
            history.push(at(seconds), position);
        }
        assert_eq!(history.complete_until(99), None);
        assert_eq!(history.complete_until(100), Some(at(0)));
        assert_eq!(history.complete_until(199), Some(at(0)));
        // Nothing was written between the first and the second second.
        assert_eq!(history.complete_until(200), Some(at(2)));
        assert_eq!(history.complete_until(300), Some(at(3)));
        assert_eq!(history.complete_until(301), Some(at(3)));
        assert_eq!((history.first(), history.last()), (Some(at(0)), Some((at(3), 300))));
    }

    #[test]
    fn an_idle_primary_takes_one_sample() {
        let start = Instant::now();
        let mut history = History::default();
        for second in 0..5000 {
            history.push(start + Duration::from_secs(second), 100);
        }
        assert_eq!(history.samples.len(), 1);
        assert_eq!(history.complete_until(100), Some(start + Duration::from_secs(4999)));
    }

    #[test]
    fn it_is_bounded() {
        let start = Instant::now();
        let mut history = History::default();
        for second in 1..=50_000 {
            history.push(start + Duration::from_secs(second), second);
        }
        assert!(history.samples.len() <= KEPT);
        let until = |position| history.complete_until(position).map(|until| until - start);
        assert_eq!(until(0), None);
        assert_eq!(until(49_000), Some(Duration::from_secs(49_000)));
        // Never later than it was, and not much earlier.
        let long_ago = until(20_000).expect("it is remembered").as_secs();
        assert!((19_500..=20_000).contains(&long_ago), "{long_ago}");
    }
}
