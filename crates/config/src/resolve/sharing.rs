//! `[sharing]`

use std::collections::BTreeMap;

use super::Resolver;
use crate::config::{Sharing, Store};
use crate::file;
use crate::near::nearest;

const COMPRESS_ABOVE: u64 = 4 << 10;

impl Resolver<'_> {
    pub(super) fn sharing(&mut self, sharing: &file::Sharing, stores: &BTreeMap<String, Store>) -> Sharing {
        if !stores.is_empty() && !matches!(stores.get(&sharing.store), Some(Store::Redis(_))) && self.is_there(&["sharing", "store"]) {
            let all = stores.iter().filter(|(_, store)| matches!(store, Store::Redis(_)));
            let redis: Vec<_> = all.map(|(name, _)| name.as_str()).collect();
            let help = match (nearest(&sharing.store, redis.iter().copied()), &redis[..]) {
                (_, []) => "there is no Redis store: add one under [stores]".to_owned(),
                (Some(near), _) => format!("did you mean \"{near}\"? Redis stores: {}", redis.join(", ")),
                (None, _) => format!("Redis stores: {}", redis.join(", ")),
            };
            self.mistake(&["sharing", "store"], format!("\"{}\" isn't a Redis store", sharing.store), help);
        }
        if self.count(&["cache"]) == 0 {
            self.mistake(
                &["sharing"],
                "`sharing` without a cache rule",
                "what gateways share is for the answers that they keep: add a [[cache]] rule, or leave it out",
            );
        }
        let answers = sharing.answers.unwrap_or(false);
        if !answers && self.is_there(&["sharing", "compress_above"]) && !self.is_there(&["sharing", "answers"]) {
            self.mistake(
                &["sharing", "compress_above"],
                "`compress_above` without `answers`",
                "leave it out, or write answers = true",
            );
        }
        let above = sharing.compress_above.as_ref();
        let above = above.map_or(Some(COMPRESS_ABOVE), |size| self.bytes(&["sharing", "compress_above"], size));
        Sharing {
            store: sharing.store.clone(),
            name: sharing.name.clone().unwrap_or_else(|| "flywheel".into()),
            max_lag: self.duration(&["sharing", "max_lag"], sharing.max_lag.as_deref(), "2s"),
            answers,
            compress_above: above.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default(),
        }
    }
}
