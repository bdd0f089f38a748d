//! A session as statements on store tables see it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;
use flywheel_execute::{
    Answer, Arguments, Block, CacheCommand, Failure, Host, Mark, Outcome, PreparedStatement,
    Redefined, Reliance, Server, Settled, StatementKey, StoreStatement, Stores, Told, Transacting,
    Way,
};
use flywheel_postgres::{Lease, Portal, Rows, ServerError, Settings};
use flywheel_statement::Analysis;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{Frame, PgError};

use super::Session;

impl Server for Session {
    async fn server(&mut self) -> Outcome<&mut Lease> {
        Self::server(self).await
    }

    fn held_server(&mut self) -> Option<&mut Lease> {
        Self::held_server(self)
    }

    fn server_failed(&mut self, error: &ServerError) -> Failure {
        Self::server_failed(self, error)
    }

    fn follow_server(&mut self) {
        Self::follow_server(self);
    }

    fn drop_server(&mut self) {
        Self::drop_server(self);
    }

    fn lose_server(&mut self, lost: PgError, note: Option<&'static str>) -> Outcome<()> {
        Self::lose_server(self, lost, note)
    }

    fn lose_unnamed(&mut self) {
        self.upstream.lose_unnamed();
    }

    fn forget_server_settings(&mut self) {
        self.upstream.forget_settings();
    }

    fn note_server_write(&mut self) {
        self.upstream.replicas.note_write();
    }

    async fn spares_a_connection(&mut self) -> bool {
        Self::spares_a_connection(self).await
    }

    async fn on_server(&mut self, sql: &str) -> Outcome<String> {
        self.own_statements().on_server(sql).await
    }

    async fn on_server_with_notices(&mut self, sql: &str) -> Outcome<Answer> {
        self.own_statements().on_server_with_notices(sql).await
    }

    async fn results_on_server(&mut self, sql: &str) -> Outcome<Vec<Rows>> {
        self.own_statements().results_on_server(sql).await
    }

    async fn portals_on_server(&mut self, portals: &[Portal<'_>]) -> Outcome<Vec<Rows>> {
        self.own_statements().portals_on_server(portals).await
    }

    async fn run_on_server(
        &mut self,
        portal: &Portal<'_>,
        each: impl FnMut(Frame) + Send,
    ) -> Outcome<String> {
        self.own_statements().run_on_server(portal, each).await
    }

    async fn receive_copy(&mut self, sql: &str) -> Outcome<String> {
        self.copies().receive(sql).await
    }

    fn is_pinned(&self) -> bool {
        Self::is_pinned(self)
    }

    fn status(&self) -> TransactionStatus {
        self.transaction.status
    }
}

impl Settled for Session {
    fn settings(&self) -> &Arc<Settings> {
        &self.settings.now
    }

    fn setting(&self, name: &str) -> Option<&str> {
        Self::setting(self, name)
    }

    fn reported(&self) -> &HashMap<String, String> {
        &self.settings.reported
    }

    fn naming(&self) -> Option<String> {
        Self::naming(self)
    }

    fn prints_hex(&self) -> bool {
        self.identity.access.prints_hex()
    }

    fn prints_shortest_floats(&self) -> bool {
        self.identity.access.prints_shortest_floats()
    }

    fn is_read_committed(&self) -> bool {
        self.identity.access.is_read_committed()
    }

    fn conforming<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.settings.conforming(text)
    }

    fn check_conforming(&self, text: &str) -> Result<(), PgError> {
        self.strings().check_conforming(text)
    }

    fn report_settings(&mut self) {
        Self::report_settings(self);
    }

    fn statements(&self) -> &HashMap<String, Arc<PreparedStatement>> {
        &self.prepared.statements
    }

    fn note_prepared(&mut self, name: String, statement: PreparedStatement) {
        self.statement_names().note_prepared(name, statement);
    }

    fn known_plan(&self, key: &StatementKey) -> Option<Arc<StoreStatement>> {
        self.identity.access.statements.get(key)
    }

    fn keep_plan(&self, key: StatementKey, plan: Arc<StoreStatement>, bytes: usize) {
        self.identity.access.statements.insert(key, plan, bytes);
    }
}

impl Transacting for Session {
    fn block(&self) -> &Block {
        &self.transaction.block
    }

    fn block_mut(&mut self) -> &mut Block {
        &mut self.transaction.block
    }

    fn redefined(&self) -> &Redefined {
        &self.transaction.redefined
    }

    fn redefined_mut(&mut self) -> &mut Redefined {
        &mut self.transaction.redefined
    }

    fn reliance(&self) -> &Reliance {
        &self.transaction.reliance
    }

    fn reliance_mut(&mut self) -> &mut Reliance {
        &mut self.transaction.reliance
    }

    fn unmarked(&mut self) -> &mut Vec<Mark> {
        &mut self.transaction.unmarked
    }

    async fn begin_implicit(&mut self) -> Outcome<()> {
        self.queries().begin_implicit().await
    }

    async fn end_implicit(&mut self, commit: bool) -> Outcome<()> {
        self.queries().end_implicit(commit).await
    }

    fn end_block(&mut self, rolled_back: bool) {
        self.control().end_block(rolled_back);
    }

    async fn announce_commit(&mut self) -> Outcome<()> {
        self.listener().announce_commit().await
    }

    async fn check_waiting(&mut self) -> Outcome<()> {
        self.guard().check_waiting().await
    }

    async fn begin_guard(&mut self, text: &str) -> Outcome<Option<bool>> {
        self.guard().begin(text).await
    }

    async fn begin_marks(&mut self, changing: &str) -> Outcome<bool> {
        self.guard().begin_marks(changing).await
    }

    async fn end_guard<T: Send>(&mut self, guard: Option<bool>, done: Outcome<T>) -> Outcome<T> {
        self.guard().end(guard, done).await
    }

    fn sees_own_definitions(&self) -> bool {
        self.guarding.sees_own_definitions()
    }

    fn note_definition(&mut self, temporary: bool) {
        self.guard().note_definition(temporary);
    }
}

impl Told for Session {
    fn out(&mut self) -> &mut BytesMut {
        &mut self.client.out
    }

    async fn interruptible<T: Send>(
        &mut self,
        waiting: impl Future<Output = T> + Send,
    ) -> Outcome<T> {
        Self::interruptible(self, waiting).await
    }

    fn count(&self, way: Way) {
        Self::count(self, way);
    }

    fn begin_answer(&mut self, statement: &StoreStatement, arguments: &Arguments<'_>) -> bool {
        self.noted_writes().note_store(statement, arguments);
        std::mem::replace(&mut self.writes.is_answering, true)
    }

    fn end_answer(&mut self, is_within: bool) {
        self.writes.is_answering = is_within;
        self.noted_writes().settle();
    }

    fn settle_writes_at_rest(&mut self) {
        self.noted_writes().settle_at_rest();
    }

    fn lose_writes(&mut self) {
        self.noted_writes().lose();
    }

    fn explain_cache(&self, analysis: &Analysis, position: usize) -> Option<String> {
        self.explained_cache().line(analysis, position)
    }

    async fn cache_command(&mut self, command: &CacheCommand) -> Outcome<Answer> {
        self.cache_commands().run(command).await
    }
}

impl Host for Session {
    fn stores(&self) -> &Arc<Stores> {
        &self.shared.stores
    }
}
