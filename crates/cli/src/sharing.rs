//! What the gateway has in common with others, from the configuration.

use std::time::Duration;

use anyhow::Context;
use flywheel_config::{self as config, Config};
use flywheel_gateway::options::Sharing;
use flywheel_store::ExchangeOptions;

/// How often a gateway says how far it has read: so many times in the lag that is allowed.
const BEATS: u32 = 5;
/// The longest pause between two of them.
const LONGEST_BEAT: Duration = Duration::from_millis(500);
/// A gateway that has said nothing for so long, and no goodbye, is no longer waited for.
const FORGET_AFTER: Duration = Duration::from_secs(15);

pub(crate) fn share(sharing: &config::Sharing, config: &Config) -> anyhow::Result<Sharing> {
    let config::Store::Home(store) = &config.stores[&sharing.store] else {
        anyhow::bail!("store \"{}\" of [sharing] is PostgreSQL", sharing.store);
    };
    let exchange = ExchangeOptions {
        name: sharing.name.clone(),
        beat: (sharing.max_lag / BEATS).min(LONGEST_BEAT),
        forget_after: FORGET_AFTER.max(sharing.max_lag * 2),
    };
    let exchange = store
        .configured
        .exchange(exchange)
        .with_context(|| format!("gateways share nothing over store \"{}\"", sharing.store))?
        .with_context(|| format!("store \"{}\"", sharing.store))?;
    Ok(Sharing {
        exchange,
        max_lag: sharing.max_lag,
        answers: sharing.answers,
        compress_above: sharing.compress_above,
    })
}
