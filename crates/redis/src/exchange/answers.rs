//! Answers, and the versions by which it is known whether they still are some.

use std::time::Duration;

use flywheel_store::{Looked, StoreError, VersionName};

use super::RedisExchange;

/// Reads versions, and how many posts there were. KEYS: the counter, groups of versions. ARGV:
/// where a version begins that isn't there, and pairs as in the post's. Groups that nobody reads
/// for a week are those of tables that are gone, as a rule; where not, their versions begin anew.
pub(super) const LOOK: &str = "
local answer = {tonumber(redis.call('GET', KEYS[1]) or '0')}
for i = 2, #ARGV, 2 do
  local group, field = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local version = redis.call('HGET', group, field)
  if not version then
    version = ARGV[1]
    redis.call('HSET', group, field, version)
  end
  answer[#answer + 1] = tonumber(version)
end
for i = 2, #KEYS do redis.call('EXPIRE', KEYS[i], 604800) end
return answer";

/// Lua's numbers are exact up to here, with room to count on.
const BEGINNINGS: u64 = 1 << 52;

impl RedisExchange {
    pub(super) async fn look_for(
        &self,
        key: &str,
        versions: &[VersionName],
    ) -> Result<Looked, StoreError> {
        let mut keys = vec![self.names.posts.clone()];
        let mut arguments = vec![(rand::random::<u64>() % BEGINNINGS).to_string().into_bytes()];
        self.put_versions(&[self.epoch()], &mut keys, &mut arguments);
        self.put_versions(versions, &mut keys, &mut arguments);
        let run = self.look.run(keys, arguments);
        let name = self.names.answers.clone() + key;
        let mut get = redis::cmd("GET");
        get.arg(&name);
        let mut lifetime = redis::cmd("PTTL");
        lifetime.arg(&name);
        // A script that may be sent twice: it gives a version that isn't there a beginning, once.
        let (versions, kept) = tokio::join!(
            self.servers.read::<Vec<u64>>(&run),
            self.servers.query_each::<redis::Value>(vec![(&name, get), (&name, lifetime)])
        );
        let mut versions = versions?;
        let kept = kept?;
        let typed = |value: &redis::Value| {
            redis::from_redis_value_ref::<Option<Vec<u8>>>(value).ok().flatten()
        };
        let remaining = |value: &redis::Value| redis::from_redis_value_ref::<i64>(value).ok();
        let kept = match &kept[..] {
            [bytes, lifetime] => {
                typed(bytes).zip(remaining(lifetime).and_then(|millis| u64::try_from(millis).ok()))
            }
            _ => None,
        };
        let number = if versions.is_empty() { 0 } else { versions.remove(0) };
        Ok(Looked {
            number,
            versions,
            kept: kept.map(|(bytes, millis)| (bytes, Duration::from_millis(millis))),
        })
    }

    pub(super) async fn keep_answer(
        &self,
        key: &str,
        bytes: &[u8],
        lifetime: Duration,
    ) -> Result<(), StoreError> {
        let name = self.names.answers.clone() + key;
        let mut set = redis::cmd("SET");
        set.arg(&name)
            .arg(bytes)
            .arg("PX")
            .arg(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1));
        self.servers.query(&name, &set).await
    }

    /// Versions as a script takes them: their groups among its keys, and for each its group's place
    /// there and its field.
    pub(super) fn put_versions(
        &self,
        versions: &[VersionName],
        keys: &mut Vec<String>,
        arguments: &mut Vec<Vec<u8>>,
    ) {
        for version in versions {
            let group = self.names.versions.clone() + &version.group;
            let place = keys.iter().position(|key| *key == group).unwrap_or_else(|| {
                keys.push(group);
                keys.len() - 1
            });
            arguments.push((place + 1).to_string().into_bytes());
            arguments.push(version.field.clone().into_bytes());
        }
    }
}
