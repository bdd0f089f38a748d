//! Shared connections that others need more: where all of a pool's are taken and somebody waits,
//! those that aren't used go back at once, and one that is used all the time goes when the wait
//! gets long. Batches then wait for their turn as everybody else does.

use std::sync::Weak;

use super::Shared;

/// Watches a pool for as long as its connections are shared.
pub(super) async fn watch(shared: Weak<Shared>) {
    let Some((shortage, patience)) = shared
        .upgrade()
        .map(|shared| (shared.pool.shortage().clone(), shared.pool.options().acquire_timeout))
    else {
        return;
    };
    loop {
        shortage.begins().await;
        let Some(now) = shared.upgrade() else { return };
        now.give_back_idle();
        drop(now);
        tokio::time::sleep(patience / 4).await;
        if shortage.is_on()
            && let Some(now) = shared.upgrade()
        {
            now.give_back_one();
        }
    }
}

impl Shared {
    /// Gives back what nobody uses now.
    fn give_back_idle(&self) {
        let mut state = self.lock();
        if self.pool.shortage().is_on() {
            state.channels.retain(|channel| !channel.close_if_unused(std::time::Duration::ZERO));
        }
    }

    /// Gives back the first that isn't on its way already, when it has answered what it has.
    fn give_back_one(&self) {
        if let Some(channel) = self.lock().channels.iter().find(|channel| !channel.is_held()) {
            channel.close();
        }
    }
}
