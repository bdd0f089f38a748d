//! Statements of Flywheel's own on the server connection, whose answers the client doesn't get.
//! They may wait for locks: one whose client goes is given up, see `attended.rs`.

use flywheel_execute::Answer;
use flywheel_postgres::{Portal, Rows};
use flywheel_wire::Frame;

use super::attended::while_there;
use super::{Outcome, Session};

/// Statements of Flywheel's own on a session's server connection.
pub(super) struct OwnStatements<'s> {
    pub(super) session: &'s mut Session,
}

impl OwnStatements<'_> {
    /// Runs a statement on the server, its answer kept back; its tag.
    pub(crate) async fn on_server(&mut self, sql: &str) -> Outcome<String> {
        Ok(self.on_server_with_notices(sql).await?.tag)
    }

    /// The same, with the notices that the client is to get.
    pub(crate) async fn on_server_with_notices(&mut self, sql: &str) -> Outcome<Answer> {
        let last = self.results_on_server(sql).await?.into_iter().next_back().unwrap_or_default();
        let mut answer = Answer::tagged(last.tag);
        for notice in &last.notices {
            answer.push_notice(notice.raw());
        }
        Ok(answer)
    }

    /// The same; the results of all its statements.
    pub(crate) async fn results_on_server(&mut self, sql: &str) -> Outcome<Vec<Rows>> {
        self.session.upstream.replicas.note_write();
        self.session.server().await?;
        let answering = self.session.upstream.held()?.query(sql);
        match while_there(&mut self.session.client, answering).await? {
            Ok(results) => {
                if results.last().is_some_and(|last| last.tag == "ROLLBACK") {
                    self.session.listening.note_failed();
                }
                self.session.follow_server();
                self.session.noted_writes().settle_at_rest();
                Ok(results)
            }
            Err(error) => Err(self.session.server_failed(&error)),
        }
    }

    /// Runs statements of Flywheel's own, with parameters, in one round trip; the results of each.
    pub(crate) async fn portals_on_server(&mut self, portals: &[Portal<'_>]) -> Outcome<Vec<Rows>> {
        self.session.upstream.replicas.note_write();
        self.session.server().await?;
        let answering = self.session.upstream.held()?.run_all(portals);
        match while_there(&mut self.session.client, answering).await? {
            Ok(results) => {
                self.session.follow_server();
                Ok(results)
            }
            Err(error) => Err(self.session.server_failed(&error)),
        }
    }

    /// Runs a statement by the extended protocol; its tag. `each` is given RowDescription, DataRows
    /// and notices.
    pub(crate) async fn run_on_server(
        &mut self,
        portal: &Portal<'_>,
        each: impl FnMut(Frame) + Send,
    ) -> Outcome<String> {
        self.session.server().await?;
        let answering = self.session.upstream.held()?.run_with(portal, each);
        match while_there(&mut self.session.client, answering).await? {
            Ok(tag) => {
                self.session.follow_server();
                Ok(tag)
            }
            Err(error) => Err(self.session.server_failed(&error)),
        }
    }
}
