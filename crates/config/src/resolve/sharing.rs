//! `[sharing]`

use std::collections::BTreeMap;

use super::Resolver;
use crate::config::{Sharing, Store};
use crate::file;
use crate::near::nearest;

const COMPRESS_ABOVE: u64 = 4 << 10;

impl Resolver<'_> {
    pub(super) fn sharing(
        &mut self,
        sharing: &file::Sharing,
        stores: &BTreeMap<String, Store>,
    ) -> Sharing {
        if !stores.is_empty()
            && !stores.get(&sharing.store).is_some_and(can_share)
            && self.is_there(&["sharing", "store"])
        {
            let kinds = self.kinds.iter().map(|each| each.kind);
            let titles: Vec<_> =
                kinds.filter(|kind| kind.can_share()).map(|kind| kind.title()).collect();
            let title = titles.join(" or ");
            let all = stores.iter().filter(|(_, store)| can_share(store));
            let able: Vec<_> = all.map(|(name, _)| name.as_str()).collect();
            let help = match (nearest(&sharing.store, able.iter().copied()), &able[..]) {
                (_, []) => format!("there is no {title} store: add one under [stores]"),
                (Some(near), _) => {
                    format!("did you mean \"{near}\"? {title} stores: {}", able.join(", "))
                }
                (None, _) => format!("{title} stores: {}", able.join(", ")),
            };
            self.mistake(
                &["sharing", "store"],
                format!("\"{}\" isn't a {title} store", sharing.store),
                help,
            );
        }
        if self.count(&["cache"]) == 0 {
            self.mistake(
                &["sharing"],
                "`sharing` without a cache rule",
                "what gateways share is for the answers that they keep: add a [[cache]] rule, or leave it out",
            );
        }
        let answers = sharing.answers.unwrap_or(false);
        if !answers
            && self.is_there(&["sharing", "compress_above"])
            && !self.is_there(&["sharing", "answers"])
        {
            self.mistake(
                &["sharing", "compress_above"],
                "`compress_above` without `answers`",
                "leave it out, or write answers = true",
            );
        }
        let above = sharing.compress_above.as_ref();
        let above = above
            .map_or(Some(COMPRESS_ABOVE), |size| self.bytes(&["sharing", "compress_above"], size));
        Sharing {
            store: sharing.store.clone(),
            name: sharing.name.clone().unwrap_or_else(|| "flywheel".into()),
            max_lag: self.duration(&["sharing", "max_lag"], sharing.max_lag.as_deref(), "2s"),
            answers,
            compress_above: above.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default(),
        }
    }
}

/// Whether gateways can have something in common over the store.
fn can_share(store: &Store) -> bool {
    matches!(store, Store::Home(home) if home.kind.can_share())
}
