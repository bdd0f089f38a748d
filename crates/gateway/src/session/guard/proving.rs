//! Reads what a text is proved by, where that isn't known.

use flywheel_postgres::ServerError;
use flywheel_statement::Analysis;

use super::Proving;
use super::proofs::held_cursors;
use crate::session::Outcome;
use crate::session::parts::Message;

impl Proving<'_> {
    /// For a text whose statements may have to be guarded one by one: looks whether that is so.
    pub(in crate::session) async fn prove_together(&mut self, analysis: &Analysis) -> Outcome<()> {
        self.session.guarding.read = None;
        if analysis.is_plain {
            return Ok(());
        }
        if held_cursors(analysis).next().is_some()
            || self.session.proofs().is_guarded_apart(analysis)
        {
            self.read_reach().await?;
        }
        Ok(())
    }

    /// For a text that is taken apart: whether PostgreSQL can read all of it. Where it can't, it
    /// carries out none of its statements.
    pub(in crate::session) async fn read_whole(&mut self, analysis: &Analysis) -> Outcome<()> {
        if self.session.upstream.is_unsynced()
            || analysis.statements.len() < 2
            || analysis.is_read_whole()
        {
            return Ok(());
        }
        let in_block = self.session.transaction.is_well();
        if in_block {
            self.session.own_statements().on_server("SAVEPOINT flywheel_read").await?;
        }
        let read = self.session.server().await?.describe(&analysis.text, &[]).await;
        if in_block {
            self.session
                .own_statements()
                .on_server("ROLLBACK TO SAVEPOINT flywheel_read; RELEASE SAVEPOINT flywheel_read")
                .await?;
        }
        match read {
            // That it is several statements is told when all of it could be read.
            Err(ServerError::Postgres(error))
                if error.field(b'R') != Some("exec_parse_message") =>
            {
                Err(error.into())
            }
            Ok(_) | Err(ServerError::Postgres(_)) => {
                self.session.follow_server();
                analysis.note_read_whole();
                Ok(())
            }
            Err(error) => Err(self.session.server_failed(&error)),
        }
    }

    /// For a batch with a text that has to be refused: looks whether that is so.
    pub(in crate::session) async fn prove_parsed(&mut self, batch: &[Message]) -> Outcome<()> {
        self.session.guarding.read = None;
        if self.session.shared.stores.twins.is_empty() {
            return Ok(());
        }
        let declares_held = |message: &Message| match message {
            Message::Parse(parse) => {
                let analysis = self.session.shared.analyses.of(&parse.query);
                !analysis.is_plain && held_cursors(&analysis).next().is_some()
            }
            _ => false,
        };
        if batch.iter().any(declares_held) {
            self.read_reach().await?;
        }
        Ok(())
    }

    /// Keeps the ways to the twins for the message at hand. Whatever is proved by them stays proved
    /// until the message is answered, though others may change definitions meanwhile.
    async fn read_reach(&mut self) -> Outcome<()> {
        let shared = self.session.shared.clone();
        self.session.guarding.read = shared.stores.twins.current();
        if shared.stores.twins.is_empty() || self.session.guarding.read.is_some() {
            return Ok(());
        }
        self.session.guarding.read =
            if self.session.transaction.is_idle() && !self.session.upstream.is_unsynced() {
                let reach = shared.stores.twins.reach(self.session.server().await?, false).await;
                Some(reach.map_err(|error| self.session.server_failed(&error))?)
            } else {
                // A transaction may not see what others have defined.
                shared.stores.twins.reach_elsewhere().await
            };
        Ok(())
    }
}
