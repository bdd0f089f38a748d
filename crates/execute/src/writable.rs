//! Whether the transaction may write.

use flywheel_wire::{PgError, sqlstate};

use crate::block::Isolation;
use crate::confirming::asking;
use crate::failure::Outcome;
use crate::host::{Executor, Host};
use crate::marking::holding;

impl<H: Host> Executor<'_, H> {
    /// A read-only transaction writes nothing.
    pub(crate) async fn check_writable(&mut self, command: &str) -> Outcome<()> {
        if self.is_read_only().await? {
            let message = format!("cannot execute {command} in a read-only transaction");
            return Err(PgError::error(sqlstate::READ_ONLY_SQL_TRANSACTION, message).into());
        }
        Ok(())
    }

    pub(crate) async fn is_read_only(&mut self) -> Outcome<bool> {
        if !self.block().is_open() {
            // Reported by PostgreSQL 14 and later; a role's or database's default reaches the
            // client as a setting too.
            return Ok(self
                .reported()
                .get("default_transaction_read_only")
                .is_some_and(|value| value == "on"));
        }
        if self.block().may_write {
            return Ok(false);
        }
        // Who may write is about to lock rows: in the same round trip the block gets its name.
        let name = self.block().marks.open().is_none().then(|| self.block().marks.name());
        let named = name.map_or_else(String::new, |name| format!(", {}", holding(name)));
        let sql = format!(
            "SELECT pg_catalog.current_setting('transaction_read_only'), {}{named}",
            asking()
        );
        let rows = self.results_on_server(&sql).await?;
        let Some(rows) = rows.first() else { return Ok(false) };
        if let Some(name) = name {
            self.block_mut().marks.opened(name);
        }
        let read_only = rows.text(0, 0) == "on";
        self.block_mut().isolation = Some(Isolation::named(rows.text(0, 1)));
        self.block_mut().may_write = !read_only;
        Ok(read_only)
    }
}
