//! Definitions as a block sees them, and what follows when it is over.
//!
//! Definitions that a block sees are its own: in a transaction PostgreSQL shows what the block has
//! made of them, or how they were when its snapshot was taken. Where that isn't what everybody sees
//! the session plans by a `Catalogue` of its own, keeps no plan, and reads them anew for all when
//! the block is over. To read definitions looks only at rows of tables that weren't known before: a
//! look at others' would wait for blocks that have locked them.

use std::sync::Arc;

use flywheel_plan::Visible;
use flywheel_postgres::catalogue;
use flywheel_types::TableName;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{PgError, Severity, sqlstate};

use crate::failure::Outcome;
use crate::homes::Catalogue;
use crate::host::{Executor, Host};
use crate::transaction::definitions::Undone;

impl<H: Host> Executor<'_, H> {
    /// The definitions as the session sees them.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        self.block().definitions.catalogue(&self.stores().catalogue)
    }

    /// What names mean to the session now, and the role whose rights count. Definitions that have
    /// changed, here or elsewhere, are read anew. `with_rights`: what rights depend on beside the
    /// tables is read, too.
    pub(crate) async fn visible_to_role(
        &mut self,
        with_rights: bool,
    ) -> Outcome<(Visible, String)> {
        let shared = self.stores().clone();
        if self.status() == TransactionStatus::Idle {
            let visible = shared.visible_to_role(self.server().await?, with_rights).await;
            return visible.map_err(|error| self.server_failed(&error));
        }
        let names = self.catalogue().names();
        let names = catalogue::names(self.server().await?, &names, false).await;
        let names = names.map_err(|error| self.server_failed(&error))?;
        if self.catalogue().has_changed(&names.digest) {
            self.reload_catalogue().await?;
        }
        let visible = Visible { current_schema: names.current_schema, schemas: names.schemas };
        Ok((visible, names.role))
    }

    /// Reads definitions anew: for all, or in a transaction for itself.
    pub(crate) async fn reload_catalogue(&mut self) -> Outcome<()> {
        self.note_definition(false);
        let shared = self.stores().clone();
        if self.status() == TransactionStatus::Idle {
            let reloaded = shared.reload(self.server().await?).await;
            return reloaded.map_err(|error| self.server_failed(&error));
        }
        let own = self.block_mut().definitions.catalogue.take();
        let own = own.unwrap_or_else(|| Box::new(shared.catalogue.within()));
        let reloaded = shared.read(&own, self.server().await?).await;
        shared.analyses.set_names(shared.named_beside(&own).iter());
        self.block_mut().definitions.catalogue = Some(own);
        reloaded.map_err(|error| self.server_failed(&error))
    }

    /// Has everybody, and the stores, follow what blocks that are over have done to definitions.
    pub async fn settle_definitions(&mut self) -> Outcome<()> {
        if self.redefined().is_empty() {
            return Ok(());
        }
        let redefined = std::mem::take(self.redefined_mut());
        // Whoever plans from now on sees the tables that are there, and no others.
        if redefined.is_changed && self.status() == TransactionStatus::Idle {
            self.reload_catalogue().await?;
        } else if redefined.is_changed {
            self.stores().catalogue.touch();
            self.stores().look_for_definitions();
        }
        self.uncreate(redefined.unnoted).await?;
        if redefined.names.is_empty() {
            return Ok(());
        }
        for (name, error) in self.follow_definitions(&redefined.names).await {
            let message = format!(
                "the definition of table \"{name}\" has changed, but its store follows only when it can be reached again"
            );
            let notice = PgError::new(Severity::Warning, sqlstate::WARNING, message)
                .with_detail(error.to_string());
            backend::notice_response(self.out(), &notice);
        }
        Ok(())
    }

    /// What is left to do for these tables, where it can't be done now. What isn't done for want of
    /// a connection is done by whoever looks next.
    async fn follow_definitions(&mut self, names: &[TableName]) -> Vec<Undone> {
        let shared = Arc::clone(self.stores());
        let pool = shared.pool();
        let followed = if pool.options().size > 1 {
            // Past the pool, whose connections may all be held by sessions that wait for one.
            match pool.connect_apart(&[]).await {
                Ok(mut connection) => shared.carry_out_definitions(&mut connection, names).await,
                Err(error) => Err(error),
            }
        } else if self.spares_a_connection().await {
            match pool.acquire_plain().await {
                Ok(mut lease) => shared.carry_out_definitions(&mut lease, names).await,
                Err(error) => Err(error),
            }
        } else {
            Ok(Vec::new())
        };
        followed.unwrap_or_else(|error| {
            tracing::warn!(%error, "what a definition has left to do in its store stays for later");
            Vec::new()
        })
    }
}
