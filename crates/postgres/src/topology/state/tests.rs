use super::*;
use crate::ServerOptions;

fn login(name: &str) -> ServerOptions {
    ServerOptions {
        host: Host::Tcp(name.into(), 5432),
        user: "app".into(),
        password: None,
        database: "app".into(),
        encryption: crate::Encryption::Never,
        connect_timeout: Duration::from_secs(1),
    }
}

/// Two servers that may be the primary, and two replicas.
fn state(primary_is: SessionAttributes, max_lag: MaxLag) -> State {
    State::new(&ClusterOptions {
        primaries: vec![login("one"), login("two")],
        primary_is,
        replicas: vec![
            (login("three"), SessionAttributes::Standby),
            (login("four"), SessionAttributes::Standby),
        ],
        check_interval: Duration::from_secs(1),
        max_lag,
    })
}

fn primary(name: &str, timeline: u32, position: u64) -> Look {
    Look {
        address: Host::Tcp(name.into(), 5432),
        in_recovery: false,
        read_only: false,
        timeline: Some(timeline),
        position: Some(position),
        since_last_transaction: None,
    }
}

fn standby(name: &str, position: u64) -> Look {
    Look { in_recovery: true, timeline: None, ..primary(name, 0, position) }
}

fn down() -> ServerError {
    ServerError::Io { server: "it".into(), source: std::io::ErrorKind::ConnectionRefused.into() }
}

/// Who sits in a seat, and which in number it is.
fn sits(state: &State, seat: usize) -> Option<(String, u64)> {
    state
        .seat(seat)
        .map(|(host, epoch)| (host.to_string().replace(":5432", ""), epoch.load(Ordering::Relaxed)))
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn the_primary_is_the_first_that_is_one() {
    let now = Instant::now();
    let mut state = state(SessionAttributes::ReadWrite, MaxLag::default());
    assert!(state.no_primary().contains("one:5432 hasn't answered yet"));
    state.note_candidate(0, Ok((now, standby("one", 10))));
    assert_eq!(sits(&state, 0), None);
    let read_only = Look { read_only: true, ..primary("two", 1, 10) };
    state.note_candidate(1, Ok((now, read_only)));
    assert_eq!(sits(&state, 0), None);
    assert_eq!(state.no_primary(), "no primary: one:5432 is a standby; two:5432 is read-only");
    state.note_candidate(1, Ok((now, primary("two", 1, 10))));
    assert_eq!(sits(&state, 0), Some(("two".into(), 1)));
}

#[test]
fn the_same_primary_comes_back_as_itself() {
    let now = Instant::now();
    let mut state = state(SessionAttributes::ReadWrite, MaxLag::default());
    state.note_candidate(0, Ok((now, primary("one", 1, 10))));
    state.note_candidate(0, Err(down()));
    assert_eq!(sits(&state, 0), None);
    state.note_candidate(0, Ok((now, primary("one", 1, 20))));
    assert_eq!(sits(&state, 0), Some(("one".into(), 1)));
}

#[test]
fn a_promotion_goes_before_a_primary_that_goes_on() {
    let now = Instant::now();
    let mut state = state(SessionAttributes::ReadWrite, MaxLag::default());
    state.note_candidate(0, Ok((now, primary("one", 1, 10))));
    state.note_candidate(1, Ok((now, standby("two", 10))));
    assert_eq!(sits(&state, 0), Some(("one".into(), 1)));
    state.note_candidate(1, Ok((now, primary("two", 2, 10))));
    assert_eq!(sits(&state, 0), Some(("two".into(), 2)));
    // Whatever the one before says from then on.
    state.note_candidate(0, Ok((now, primary("one", 1, 30))));
    state.note_candidate(0, Err(down()));
    state.note_candidate(0, Ok((now, primary("one", 1, 30))));
    assert_eq!(sits(&state, 0), Some(("two".into(), 2)));
}

#[test]
fn where_any_server_will_do_the_one_that_serves_goes_on() {
    let now = Instant::now();
    let mut state = state(SessionAttributes::Any, MaxLag::default());
    state.note_candidate(1, Ok((now, standby("two", 10))));
    state.note_candidate(0, Ok((now, standby("one", 10))));
    assert_eq!(sits(&state, 0), Some(("two".into(), 1)));
}

#[test]
fn a_replica_is_used_once_it_is_well() {
    let now = Instant::now();
    let mut state = state(SessionAttributes::ReadWrite, MaxLag::default());
    assert!(!state.is_usable(0, None));
    state.note_replica(0, Ok((now, standby("three", 10))));
    assert!(state.is_usable(0, None));
    assert!(!state.is_usable(1, None));
    state.note_replica(0, Err(down()));
    assert!(!state.is_usable(0, None));
    state.note_replica(0, Ok((now, standby("three", 10))));
    assert!(state.is_usable(0, None));
    // One that was promoted isn't a replica.
    state.note_replica(0, Ok((now, primary("three", 2, 10))));
    assert!(!state.is_usable(0, None));
}

#[test]
fn an_ejected_replica_waits_for_a_look_that_begins_later() {
    let now = Instant::now();
    let mut state = state(SessionAttributes::ReadWrite, MaxLag::default());
    state.note_replica(0, Ok((now, standby("three", 10))));
    assert!(state.eject(0, "it broke", now + seconds(2)));
    assert!(!state.eject(0, "it broke", now + seconds(2)));
    state.note_replica(0, Ok((now + seconds(1), standby("three", 10))));
    assert!(!state.is_usable(0, None));
    state.note_replica(0, Ok((now + seconds(3), standby("three", 10))));
    assert!(state.is_usable(0, None));
}

#[test]
fn a_session_that_has_written_reads_where_its_write_is() {
    let now = Instant::now();
    let mut state = state(SessionAttributes::ReadWrite, MaxLag::default());
    state.note_candidate(0, Ok((now, primary("one", 1, 100))));
    state.note_replica(0, Ok((now, standby("three", 100))));
    let wrote = now + seconds(1);
    assert!(state.is_usable(0, None) && !state.is_usable(0, Some(wrote)));
    // The write is at 150 at most, and the replica isn't there.
    state.note_candidate(0, Ok((now + seconds(2), primary("one", 1, 150))));
    state.note_replica(0, Ok((now + seconds(2), standby("three", 149))));
    assert!(!state.is_usable(0, Some(wrote)));
    state.note_replica(0, Ok((now + seconds(3), standby("three", 150))));
    assert!(state.is_usable(0, Some(wrote)) && !state.is_usable(0, Some(now + seconds(3))));
}

#[test]
fn positions_of_two_timelines_are_not_compared() {
    let now = Instant::now();
    let mut state = state(SessionAttributes::ReadWrite, MaxLag::default());
    state.note_candidate(0, Ok((now, primary("one", 1, 200))));
    state.note_candidate(0, Err(down()));
    state.note_candidate(1, Ok((now + seconds(1), primary("two", 2, 150))));
    state.note_replica(0, Ok((now + seconds(1), standby("three", 150))));
    assert!(state.is_usable(0, Some(now + seconds(1))));
    assert!(!state.is_usable(0, Some(now + seconds(2))));
}

#[test]
fn lag_is_how_long_something_has_been_missing() {
    let now = Instant::now();
    let most = MaxLag { time: Some(seconds(10)), bytes: None };
    let mut state = state(SessionAttributes::ReadWrite, most);
    state.note_candidate(0, Ok((now, primary("one", 1, 100))));
    // Idle for an hour.
    state.note_candidate(0, Ok((now + seconds(3600), primary("one", 1, 100))));
    let idle = Look { since_last_transaction: Some(seconds(3600)), ..standby("three", 100) };
    state.note_replica(0, Ok((now + seconds(3600), idle.clone())));
    assert!(state.is_usable(0, None));
    // Then there is a write, which the replica doesn't have yet.
    for (passed, usable) in [(1, true), (10, true), (11, false)] {
        let at = now + seconds(3600 + passed);
        state.note_candidate(0, Ok((at, primary("one", 1, 100 + passed))));
        state.note_replica(0, Ok((at, idle.clone())));
        assert_eq!(state.is_usable(0, None), usable, "after {passed} s");
    }
    // Nothing is missed while nobody writes.
    state.note_candidate(0, Err(down()));
    state.note_replica(0, Ok((now + seconds(9000), standby("three", 110))));
    assert!(state.is_usable(0, None));
}

#[test]
fn further_behind_than_is_remembered() {
    let now = Instant::now();
    let most = MaxLag { time: Some(seconds(10)), bytes: None };
    let mut state = state(SessionAttributes::ReadWrite, most);
    state.note_candidate(0, Ok((now, primary("one", 1, 100))));
    let behind =
        |since| Look { since_last_transaction: Some(seconds(since)), ..standby("three", 50) };
    state.note_replica(0, Ok((now, behind(5))));
    assert!(state.is_usable(0, None));
    state.note_replica(0, Ok((now, behind(11))));
    assert!(!state.is_usable(0, None));
}

#[test]
fn lag_in_bytes() {
    let now = Instant::now();
    let most = MaxLag { time: None, bytes: Some(1000) };
    let mut state = state(SessionAttributes::ReadWrite, most);
    state.note_candidate(0, Ok((now, primary("one", 1, 5000))));
    for (position, usable) in [(4000, true), (3999, false), (5000, true)] {
        state.note_replica(0, Ok((now, standby("three", position))));
        assert_eq!(state.is_usable(0, None), usable, "at {position}");
    }
    // A server that doesn't say how far it is.
    let silent = Look { position: None, ..standby("four", 0) };
    state.note_replica(1, Ok((now, silent)));
    assert!(state.is_usable(1, None) && !state.is_usable(1, Some(now)));
}

#[test]
fn the_primary_itself_has_everything() {
    let now = Instant::now();
    let mut state = State::new(&ClusterOptions {
        primaries: vec![login("one")],
        primary_is: SessionAttributes::Any,
        replicas: vec![
            (login("one"), SessionAttributes::Any),
            (login("two"), SessionAttributes::Any),
        ],
        check_interval: seconds(1),
        max_lag: MaxLag::default(),
    });
    state.note_candidate(0, Ok((now, primary("one", 1, 100))));
    state.note_replica(0, Ok((now, primary("one", 1, 100))));
    // Another that isn't in recovery may have its rows from anywhere.
    state.note_replica(1, Ok((now, primary("two", 1, 100))));
    assert!(
        state.is_usable(0, Some(now)) && state.is_usable(1, None) && !state.is_usable(1, Some(now))
    );
}

#[test]
fn a_server_is_lost_when_it_is_silent_and_another_is_the_primary() {
    let now = Instant::now();
    let mut state = state(SessionAttributes::ReadWrite, MaxLag::default());
    let one = Host::Tcp("one".into(), 5432);
    state.note_candidate(0, Ok((now, primary("one", 1, 10))));
    state.note_candidate(0, Err(down()));
    // It may come back.
    assert!(!state.has_lost(&one));
    state.note_candidate(1, Ok((now, primary("two", 2, 10))));
    assert!(state.has_lost(&one));
    // It is alive: what it does now comes to an end by itself.
    state.note_candidate(0, Ok((now, primary("one", 1, 10))));
    assert!(!state.has_lost(&one));
}
