//! The task that looks at a cluster's servers.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::{Either, join_all};
use tokio::sync::watch;

use super::look::Watched;
use super::{SessionAttributes, Shared};
use crate::{ServerError, ServerOptions};

/// How often the servers that may be the primary are looked at while none is.
const IMPATIENT: Duration = Duration::from_millis(100);

/// How long at least a server is left alone that is looked at as often as it is wished.
const HASTE: Duration = Duration::from_millis(5);

/// Whom a look is at.
#[derive(Debug, Clone, Copy)]
enum Whom {
    /// One that may be the primary.
    Candidate(usize),
    /// A replica.
    Replica(usize),
}

/// Looks at all servers, each at its own pace (one that doesn't answer doesn't delay what is told
/// of the others), until the cluster is gone.
pub(super) async fn run(cluster: Weak<Shared>) {
    let Some(shared) = cluster.upgrade() else { return };
    let candidates = shared.options.primaries.iter().cloned().enumerate();
    let replicas = shared.options.replicas.iter().cloned().enumerate();
    let wanted = shared.options.primary_is;
    let looks: Vec<_> = candidates
        .map(|(number, login)| (Whom::Candidate(number), login, wanted))
        .chain(replicas.map(|(number, (login, is))| (Whom::Replica(number), login, is)))
        .map(|(whom, login, wanted)| {
            (whom, login, wanted, shared.suspicions.subscribe(), shared.wishes.subscribe())
        })
        .collect();
    drop(shared);
    join_all(looks.into_iter().map(|(whom, login, wanted, suspicions, wishes)| {
        keep_looking(&cluster, whom, login, wanted, suspicions, wishes)
    }))
    .await;
}

async fn keep_looking(
    cluster: &Weak<Shared>,
    whom: Whom,
    login: ServerOptions,
    wanted: SessionAttributes,
    mut suspicions: watch::Receiver<u64>,
    mut wishes: watch::Receiver<()>,
) {
    let mut server = Watched::new(login);
    loop {
        // A suspicion that arises from now on asks for another look.
        suspicions.mark_unchanged();
        wishes.mark_unchanged();
        let gone = std::pin::pin!(gone(suspicions.clone()));
        let look = std::pin::pin!(server.look(wanted));
        let looked = match futures_util::future::select(look, gone).await {
            Either::Left((looked, _)) => looked,
            Either::Right(_) => return,
        };
        let Some(shared) = cluster.upgrade() else { return };
        let is_silent = matches!(looked, Err(ServerError::Io { .. }));
        shared.state.send_modify(|state| match whom {
            Whom::Candidate(number) => state.note_candidate(number, looked),
            Whom::Replica(number) => state.note_replica(number, looked),
        });
        match whom {
            // Whoever waits for one that was the primary, and that doesn't answer, waits in vain.
            Whom::Candidate(_) => {
                shared.links.cut(0, |address| shared.state.borrow().has_lost(address))
            }
            // What is asked of a replica can be asked of another.
            Whom::Replica(number) if is_silent => shared.links.cut(number + 1, |_| true),
            Whom::Replica(_) => {}
        }
        let pause = pause(&shared, whom);
        drop(shared);
        let wished = async {
            tokio::time::sleep(HASTE).await;
            wishes.changed().await
        };
        let sooner = async {
            tokio::select! {
                suspected = suspicions.changed() => suspected,
                wished = wished => wished,
            }
        };
        if let Ok(Err(_)) = tokio::time::timeout(pause, sooner).await {
            return;
        }
    }
}

fn pause(shared: &Arc<Shared>, whom: Whom) -> Duration {
    let interval = shared.options.check_interval;
    match whom {
        Whom::Candidate(_) if !shared.state.borrow().has_primary() => interval.min(IMPATIENT),
        _ => interval,
    }
}

/// Returns when nobody needs the cluster any more.
async fn gone(mut suspicions: watch::Receiver<u64>) {
    while suspicions.changed().await.is_ok() {}
}
