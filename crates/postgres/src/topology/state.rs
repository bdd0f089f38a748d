//! What follows from the looks at servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::history::History;
use super::seen::ReplicaPlace;
use super::{ClusterOptions, Look, MaxLag, ReplicaFigures, SessionAttributes};
use crate::{Host, ServerError};

/// What is known of a cluster's servers.
#[derive(Debug)]
pub(super) struct State {
    primary_is: SessionAttributes,
    max_lag: MaxLag,
    candidates: Vec<Candidate>,
    /// Which candidate is the primary.
    primary: Option<usize>,
    history: History,
    /// The timeline that the history is of.
    timeline: Option<u32>,
    replicas: Vec<Replica>,
    /// Of the primary, then of each replica.
    seats: Vec<Place>,
}

/// Who sits in a seat.
#[derive(Debug, Default)]
struct Place {
    address: Option<Host>,
    /// Counts the servers that have sat there.
    epoch: Arc<AtomicU64>,
}

/// A server that may be the primary.
#[derive(Debug)]
struct Candidate {
    host: Host,
    /// `None`: nobody has looked yet.
    last: Option<Result<Look, String>>,
}

#[derive(Debug)]
struct Replica {
    host: Host,
    is: SessionAttributes,
    /// Why it isn't used; `None` when it is.
    problem: Option<String>,
    /// It was well once: what changes from then on is worth a line in the log.
    is_known: bool,
    /// What of the primary's log is in it.
    has: Has,
    /// How often something has happened to it that may have put it back: a restart may be behind a
    /// failure, and a standby that starts again doesn't begin where it was.
    lapses: u64,
    /// A look that began before this doesn't say that it is well.
    ejected: Option<Instant>,
    /// How often it was ejected.
    ejections: u64,
    /// How far behind it was at the last look.
    lag: Option<Lag>,
}

/// What of the primary's log a replica has.
#[derive(Debug, Clone, Copy)]
enum Has {
    /// Nobody knows.
    Unknown,
    /// All up to this position.
    UpTo(u64),
    /// It is the primary itself, which was asked then.
    All(Instant),
}

impl State {
    pub(super) fn new(options: &ClusterOptions) -> Self {
        let candidate = |host: &Host| Candidate { host: host.clone(), last: None };
        let replica = |(host, is): (&Host, SessionAttributes)| Replica {
            host: host.clone(),
            is,
            problem: Some("not looked at yet".into()),
            is_known: false,
            has: Has::Unknown,
            lapses: 0,
            ejected: None,
            ejections: 0,
            lag: None,
        };
        Self {
            primary_is: options.primary_is,
            max_lag: options.max_lag,
            candidates: options.primaries.iter().map(|login| candidate(&login.host)).collect(),
            primary: None,
            history: History::default(),
            timeline: None,
            replicas: options
                .replicas
                .iter()
                .map(|(login, is)| replica((&login.host, *is)))
                .collect(),
            seats: (0..=options.replicas.len()).map(|_| Place::default()).collect(),
        }
    }

    /// Who sits in a seat, with the seat's epoch; `None` when nobody does.
    pub(super) fn seat(&self, number: usize) -> Option<(Host, Arc<AtomicU64>)> {
        if number == 0 && self.primary.is_none() {
            return None;
        }
        let place = self.seats.get(number)?;
        Some((place.address.clone()?, place.epoch.clone()))
    }

    pub(super) fn has_primary(&self) -> bool {
        self.primary.is_some()
    }

    /// Whether another server is the primary now, and none answers at this address.
    pub(super) fn has_lost(&self, address: &Host) -> bool {
        let is_there = |look: &Look| look.address == *address;
        self.primary.is_some() && !self.candidates.iter().filter_map(Candidate::look).any(is_there)
    }

    /// Whether a replica is well, near enough to the primary, and has all that was committed before
    /// `after`.
    pub(super) fn is_usable(&self, replica: usize, after: Option<Instant>) -> bool {
        self.replicas.get(replica).is_some_and(|replica| {
            replica.problem.is_none()
                && after.is_none_or(|after| {
                    self.complete_until(replica).is_some_and(|until| until >= after)
                })
        })
    }

    /// Before which moment everything committed is in a replica.
    fn complete_until(&self, replica: &Replica) -> Option<Instant> {
        match replica.has {
            Has::Unknown => None,
            Has::UpTo(position) => self.history.complete_until(position),
            Has::All(until) => Some(until),
        }
    }

    /// A replica as it is now.
    pub(super) fn place(&self, replica: usize) -> Option<ReplicaPlace> {
        let lapses = self.replicas.get(replica)?.lapses;
        Some(ReplicaPlace { replica, lapses })
    }

    /// The host that the primary is on.
    pub(super) fn primary_host(&self) -> Option<Host> {
        self.primary.map(|primary| self.candidates[primary].host.clone())
    }

    /// What is known of the replicas, but for what is under way on them.
    pub(super) fn replica_figures(&self) -> Vec<ReplicaFigures> {
        let figures = |replica: &Replica| ReplicaFigures {
            host: replica.host.clone(),
            is_used: replica.problem.is_none(),
            lag: replica.lag.as_ref().map(|lag| (lag.time, lag.bytes)),
            busy: 0,
            ejections: replica.ejections,
        };
        self.replicas.iter().map(figures).collect()
    }

    /// Why there is no primary, server by server.
    pub(super) fn no_primary(&self) -> String {
        let reasons = self.candidates.iter().map(|candidate| match &candidate.last {
            None => format!("{} hasn't answered yet", candidate.host),
            Some(Err(error)) => error.clone(),
            Some(Ok(look)) if look.in_recovery => format!("{} is a standby", candidate.host),
            Some(Ok(_)) => format!("{} is read-only", candidate.host),
        });
        format!("no primary: {}", reasons.collect::<Vec<_>>().join("; "))
    }

    /// Takes in a look at a server that may be the primary.
    pub(super) fn note_candidate(
        &mut self,
        number: usize,
        looked: Result<(Instant, Look), ServerError>,
    ) {
        let asked = looked.as_ref().ok().map(|(asked, _)| *asked);
        self.candidates[number].last =
            Some(looked.map(|(_, look)| look).map_err(|error| error.to_string()));
        let before = self.primary;
        self.primary = self.best_candidate();
        let Some((primary, look)) = self
            .primary
            .and_then(|primary| Some((primary, self.candidates[primary].look()?.clone())))
        else {
            if before.is_some() {
                tracing::warn!("{}", self.no_primary());
            }
            return;
        };
        let came = self.seats[0].sit(&look.address);
        if came || before.is_none() {
            tracing::info!(host = %self.candidates[primary].host, address = %look.address, timeline = look.timeline, "this is the primary");
        }
        if came || look.timeline != self.timeline {
            // Positions of another timeline aren't to be compared with this one's.
            self.history.clear();
            self.timeline = look.timeline;
            for replica in &mut self.replicas {
                replica.has = Has::Unknown;
            }
        }
        if let (true, Some(asked), Some(position)) = (primary == number, asked, look.position) {
            self.history.push(asked, position);
        }
    }

    /// Of those that are what the primary has to be, the one on the highest timeline: a promotion
    /// begins a higher one, so a primary that others have been promoted over isn't it any more.
    /// Among equals the one that is it already, then the first.
    fn best_candidate(&self) -> Option<usize> {
        let fit = |number: &usize| {
            self.candidates[*number].look().is_some_and(|look| self.primary_is.accepts(look))
        };
        let rank = |number: &usize| {
            let timeline = self.candidates[*number].look().and_then(|look| look.timeline);
            (timeline, self.primary == Some(*number), std::cmp::Reverse(*number))
        };
        (0..self.candidates.len()).filter(fit).max_by_key(rank)
    }

    /// Takes in a look at a replica.
    pub(super) fn note_replica(
        &mut self,
        number: usize,
        looked: Result<(Instant, Look), ServerError>,
    ) {
        let replica = &mut self.replicas[number];
        let problem = match looked {
            Err(error) => {
                replica.lapses += 1;
                replica.lag = None;
                Some(error.to_string())
            }
            Ok((asked, _)) if replica.ejected.is_some_and(|ejected| asked <= ejected) => return,
            Ok((asked, look)) => {
                replica.ejected = None;
                if self.seats[number + 1].sit(&look.address) {
                    replica.lapses += 1;
                }
                let is_primary = self.primary.is_some()
                    && !look.in_recovery
                    && self.seats[0].address.as_ref() == Some(&look.address);
                replica.has = match look.position {
                    _ if is_primary => Has::All(asked),
                    Some(position) if look.in_recovery => Has::UpTo(position),
                    _ => Has::Unknown,
                };
                replica.lag = if look.in_recovery { lag(&self.history, &look) } else { None };
                if !replica.is.accepts(&look) {
                    Some(format!("{} isn't a replica now", replica.host))
                } else if look.in_recovery {
                    replica.lag.as_ref().and_then(|lag| lag.exceeds(self.max_lag))
                } else {
                    None
                }
            }
        };
        replica.becomes(problem);
    }

    /// A replica has failed somebody; whether it was in use.
    pub(super) fn eject(&mut self, number: usize, reason: &str, now: Instant) -> bool {
        let Some(replica) = self.replicas.get_mut(number) else {
            return false;
        };
        replica.ejected = Some(now);
        replica.lapses += 1;
        let was_used = replica.problem.is_none();
        replica.ejections += u64::from(was_used);
        replica.becomes(Some(reason.to_owned()));
        was_used
    }
}

impl Candidate {
    fn look(&self) -> Option<&Look> {
        self.last.as_ref().and_then(|last| last.as_ref().ok())
    }
}

impl Place {
    /// Somebody sits here; whether somebody else did before.
    fn sit(&mut self, address: &Host) -> bool {
        let is_new = self.address.as_ref() != Some(address);
        if is_new {
            self.address = Some(address.clone());
            self.epoch.fetch_add(1, Ordering::Release);
        }
        is_new
    }
}

impl Replica {
    fn becomes(&mut self, problem: Option<String>) {
        match (&self.problem, &problem) {
            (Some(_), None) => {
                tracing::info!(host = %self.host, "this replica is used");
                self.is_known = true;
            }
            (None, Some(problem)) => {
                tracing::warn!(host = %self.host, problem, "this replica isn't used until it is well again")
            }
            (Some(before), Some(problem)) if !self.is_known && before != problem => {
                tracing::warn!(host = %self.host, problem, "this replica can't be used");
            }
            _ => {}
        }
        self.problem = problem;
    }
}

/// How far behind a standby is.
#[derive(Debug, PartialEq, Eq)]
struct Lag {
    time: Duration,
    bytes: u64,
}

/// `None` where one of the servers doesn't say how far it is. While there is no primary the lag is
/// what it was against its last word: nothing is written that could be missed.
fn lag(history: &History, look: &Look) -> Option<Lag> {
    let position = look.position?;
    let (now, end) = history.last()?;
    let time = match history.complete_until(position) {
        Some(until) => now.saturating_duration_since(until),
        // Further behind than anybody remembers.
        None => {
            let remembered = history
                .first()
                .map_or(Duration::ZERO, |first| now.saturating_duration_since(first));
            remembered.max(look.since_last_transaction.unwrap_or_default())
        }
    };
    Some(Lag { time, bytes: end.saturating_sub(position) })
}

impl Lag {
    /// Why this is too far behind, if so.
    fn exceeds(&self, most: MaxLag) -> Option<String> {
        if let Some(time) = most.time.filter(|time| self.time > *time) {
            return Some(format!(
                "it is {:?} behind the primary, and `max_replica_lag` is {time:?}",
                self.time
            ));
        }
        let bytes = most.bytes.filter(|bytes| self.bytes > *bytes)?;
        Some(format!(
            "it is {} bytes behind the primary, and `max_replica_lag_bytes` is {bytes}",
            self.bytes
        ))
    }
}

#[cfg(test)]
mod tests;
