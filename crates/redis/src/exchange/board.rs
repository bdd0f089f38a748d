//! Posts, and who reads them.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use flywheel_store::{Member, Post, StoreError, VersionName};
use futures_util::StreamExt;
use redis::aio::PubSubStream;

use super::RedisExchange;
use crate::connection::timed_out;
use crate::error::store_error;

/// The pause before it is subscribed anew, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The version that is read with all others.
pub(super) const EPOCH: &str = "epoch";

/// Moves versions, counts and publishes. KEYS: the counter, the gateways, that of the epoch, groups
/// of versions. ARGV: the channel, the sender, kind and words, for how many seconds a gateway is
/// one, the epoch, and pairs of a group's place in KEYS and a field. A version that isn't there has
/// nothing that depends on it. What a gateway was about to post that has gone without a goodbye,
/// nobody knows: then nothing that is kept is an answer any more.
pub(super) const POST: &str = "
local function move(group, field)
  if redis.call('HEXISTS', group, field) == 1 then redis.call('HINCRBY', group, field, 1) end
end
for i = 6, #ARGV, 2 do move(KEYS[tonumber(ARGV[i])], ARGV[i + 1]) end
local now = tonumber(redis.call('TIME')[1])
if string.sub(ARGV[3], 1, 1) == 'x' then
  redis.call('ZREM', KEYS[2], ARGV[2])
else
  redis.call('ZADD', KEYS[2], now, ARGV[2])
end
if redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[4])) > 0 then move(KEYS[3], ARGV[5]) end
local number = redis.call('INCR', KEYS[1])
redis.call('PUBLISH', ARGV[1], number .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
return number";

/// Who is there. KEYS: the counter, the gateways. ARGV: for how many seconds a gateway is one.
pub(super) const ENTER: &str = "
local now = tonumber(redis.call('TIME')[1])
return {tonumber(redis.call('GET', KEYS[1]) or '0'), redis.call('ZRANGEBYSCORE', KEYS[2], now - tonumber(ARGV[1]), '+inf')}";

/// A post, as it is published.
#[derive(Debug, PartialEq, Eq)]
struct Message<'m> {
    number: u64,
    sender: &'m str,
    kind: Kind<'m>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind<'m> {
    /// The order of a beat, and the last post that its sender had read.
    Beat(u64, u64),
    Post(&'m [u8]),
    Goodbye,
}

impl<'m> Message<'m> {
    fn read(message: &'m [u8]) -> Option<Self> {
        let mut parts = message.splitn(3, |byte| *byte == b' ');
        let mut word = || std::str::from_utf8(parts.next()?).ok();
        let (number, sender) = (word()?.parse().ok()?, word()?);
        let kind = match parts.next()?.split_first()? {
            (b'p', words) => Kind::Post(words),
            (b'b', words) => {
                let (beat, read) = std::str::from_utf8(words).ok()?.split_once(' ')?;
                Kind::Beat(beat.parse().ok()?, read.parse().ok()?)
            }
            (b'x', _) => Kind::Goodbye,
            _ => return None,
        };
        Some(Self { number, sender, kind })
    }
}

impl RedisExchange {
    /// Reads and posts for ever.
    pub(super) async fn take_part(&self, member: &dyn Member) {
        let mut pause = PAUSES.0;
        let mut was_there = false;
        loop {
            let Err(error) = self.subscribed(member, was_there).await;
            let was_read = self.peers().own().is_some();
            was_there |= was_read;
            self.change_peers(super::Peers::lose);
            // It may have been under way.
            member.done(false);
            if was_read {
                pause = PAUSES.0;
            }
            tracing::warn!(%error, ?pause, "other gateways' posts in Redis can't be read for now");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// As long as a subscription lasts.
    async fn subscribed(&self, member: &dyn Member, again: bool) -> Result<Infallible, StoreError> {
        let subscription = self.subscribe().await?;
        let run = self.enter.run(
            vec![self.names.posts.clone(), self.names.gateways.clone()],
            vec![self.patience().into_bytes()],
        );
        let (last, others): (u64, Vec<String>) = self.servers.read(&run).await?;
        let others = others.into_iter().filter(|other| *other != self.sender);
        self.change_peers(|peers| peers.enter(last, others, Instant::now()));
        member.missed();
        if again {
            // The server may be one that has lost the last of what it was told.
            self.post(b'p', &[], &[self.epoch()]).await?;
        }
        tokio::select! {
            ended = self.read(subscription, member) => ended,
            ended = self.write(member) => ended,
        }
    }

    async fn subscribe(&self) -> Result<PubSubStream, StoreError> {
        let client = self.servers.client(&self.names.channel).await?;
        let subscribe = async {
            let mut subscription = client.get_async_pubsub().await?;
            subscription.subscribe(&self.names.channel).await?;
            Ok(subscription.into_on_message())
        };
        let subscribed = tokio::time::timeout(self.timeout, subscribe).await;
        subscribed.unwrap_or_else(|_| Err(timed_out().into())).map_err(store_error)
    }

    async fn read(
        &self,
        mut subscription: PubSubStream,
        member: &dyn Member,
    ) -> Result<Infallible, StoreError> {
        while let Some(message) = subscription.next().await {
            let Some(message) = Message::read(message.get_payload_bytes()) else {
                tracing::warn!(channel = self.names.channel, "a post that isn't Flywheel's");
                member.missed();
                continue;
            };
            let (follows, goes_back) = {
                let mut peers = self.peers();
                let last = peers.last();
                (peers.read(message.number), last > Some(message.number))
            };
            if !follows {
                member.missed();
            }
            let is_own = message.sender == self.sender;
            match message.kind {
                Kind::Beat(beat, _) if is_own => {
                    self.change_peers(|peers| peers.heard(beat, message.number))
                }
                Kind::Beat(_, read) => self
                    .change_peers(|peers| peers.other(message.sender, Some(read), Instant::now())),
                Kind::Post(_) if is_own => {}
                Kind::Post(words) => {
                    member.posted(words);
                    self.change_peers(|peers| peers.other(message.sender, None, Instant::now()));
                }
                Kind::Goodbye => self.change_peers(|peers| peers.left(message.sender)),
            }
            if goes_back {
                return Err(StoreError::Unavailable {
                    reason: "the server has forgotten how many posts there were".into(),
                });
            }
        }
        Err(store_error(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()))
    }

    async fn write(&self, member: &dyn Member) -> Result<Infallible, StoreError> {
        let mut beats = tokio::time::interval(self.options.beat);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut beat = 0_u64;
        loop {
            let is_due = tokio::select! {
                _ = beats.tick() => true,
                () = member.wait() => false,
            };
            // Before it is asked what there is to post: a beat says that all of that went before
            // it.
            let read = self.peers().last().unwrap_or(0);
            if let Some(Post { words, versions }) = member.take() {
                let posted = self.post(b'p', &words, &versions).await;
                member.done(posted.is_ok());
                posted?;
            }
            if is_due {
                beat += 1;
                let after = self.options.forget_after;
                let misses = self.peers().misses(after, Instant::now());
                // What one has written that has died may be missing in what is kept: before it
                // isn't waited for any more, nothing of that is an answer.
                let moved: &[VersionName] = if misses { &[self.epoch()] } else { &[] };
                self.peers().say(beat, Instant::now());
                self.post(b'b', format!("{beat} {read}").as_bytes(), moved).await?;
                if misses {
                    self.change_peers(|peers| peers.forget(after, Instant::now()));
                    member.missed();
                }
            }
        }
    }

    pub(super) async fn say_goodbye(&self) {
        if self.peers().own().is_some()
            && let Err(error) = self.post(b'x', &[], &[]).await
        {
            tracing::debug!(%error, "no goodbye to other gateways");
        }
    }

    async fn post(
        &self,
        kind: u8,
        words: &[u8],
        versions: &[VersionName],
    ) -> Result<u64, StoreError> {
        let epoch = self.epoch();
        let mut keys = vec![
            self.names.posts.clone(),
            self.names.gateways.clone(),
            self.names.versions.clone() + &epoch.group,
        ];
        let mut arguments = vec![
            self.names.channel.clone().into_bytes(),
            self.sender.clone().into_bytes(),
            [&[kind], words].concat(),
            self.patience().into_bytes(),
            epoch.field.into_bytes(),
        ];
        self.put_versions(versions, &mut keys, &mut arguments);
        self.servers.write(&self.post.run(keys, arguments)).await
    }

    /// For how long a gateway is one, in whole seconds.
    fn patience(&self) -> String {
        self.options.forget_after.as_secs().max(1).to_string()
    }

    pub(super) fn epoch(&self) -> VersionName {
        VersionName { group: EPOCH.into(), field: EPOCH.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let post = Message::read(b"17 ab p \x00 x").unwrap();
        assert_eq!((post.number, post.sender, post.kind), (17, "ab", Kind::Post(b" \x00 x")));
        assert_eq!(Message::read(b"18 ab b3 17").unwrap().kind, Kind::Beat(3, 17));
        assert_eq!(Message::read(b"19 ab x").unwrap().kind, Kind::Goodbye);
        for wrong in [&b""[..], b"17", b"17 ab", b"17 ab ", b"x ab p", b"17 ab b3", b"17 ab z"] {
            assert_eq!(Message::read(wrong), None, "{wrong:?}");
        }
    }
}
