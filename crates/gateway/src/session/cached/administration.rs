//! Who may look into the cache, who may empty it, and who may have the configuration read anew.

use std::sync::PoisonError;

use flywheel_execute::CacheCommand;
use flywheel_postgres::ServerError;
use flywheel_wire::{PgError, sqlstate};

use super::CacheCommands;
use crate::administrators::{CACHE_RIGHTS, Rights};
use crate::session::{Failure, Outcome};

/// More roles than this aren't remembered.
const MOST: usize = 1_000;

impl CacheCommands<'_> {
    /// 42501 for whoever may not give this command.
    pub(in crate::session) async fn check_administers(
        &mut self,
        command: &CacheCommand,
    ) -> Outcome<()> {
        let rights = self.cache_rights().await?;
        if matches!(command, CacheCommand::Reload) {
            // It is of all databases.
            if rights.flushes && self.session.shared.database.is_none() {
                return Ok(());
            }
            let message = "permission denied to reload the configuration";
            return Err(PgError::error(sqlstate::INSUFFICIENT_PRIVILEGE, message)
                .with_hint("Superusers and the owner of the main database may, connected to it.")
                .into());
        }
        let (may, what, roles) = match command {
            CacheCommand::Show => {
                (rights.shows, "show", "the database's owner and members of pg_monitor")
            }
            CacheCommand::Flush(_) | CacheCommand::Reload => {
                (rights.flushes, "flush", "the database's owner")
            }
        };
        if may {
            return Ok(());
        }
        let message = format!("permission denied to {what} the cache");
        let hint = format!("Superusers, {roles} may {what} it.");
        Err(PgError::error(sqlstate::INSUFFICIENT_PRIVILEGE, message).with_hint(hint).into())
    }

    async fn cache_rights(&mut self) -> Outcome<Rights> {
        // Of a session that keeps its connection PostgreSQL alone knows the role.
        let role = (!self.session.is_pinned()).then(|| self.session.naming());
        let asked = match self.session.server().await {
            Ok(lease) => lease.query(CACHE_RIGHTS).await.map_err(|error| {
                let is_broken = !matches!(error, ServerError::Postgres(_));
                (self.session.server_failed(&error), is_broken)
            }),
            Err(failure) => Err((failure, true)),
        };
        let access = self.session.identity.access.clone();
        let mut known = access.administrators.known.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(results) => {
                let rights = Rights::of(results.first());
                if let Some(role) =
                    role.filter(|role| known.len() < MOST || known.contains_key(role))
                {
                    known.insert(role, rights);
                }
                Ok(rights)
            }
            Err((failure @ Failure::Statement(_), true)) => {
                role.and_then(|role| known.get(&role).copied()).ok_or(failure)
            }
            Err((failure, _)) => Err(failure),
        }
    }
}
