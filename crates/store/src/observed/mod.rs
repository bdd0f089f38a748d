//! A store whose operations are watched.

mod parts;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use flywheel_types::{Key, Row};

use crate::{
    Change, Defines, Feed, Indexes, KeyRange, Operation, Scores, Store, StoreError, StoreTable,
    TwoPhase, Writes,
};

/// Whoever is told of a store's operations.
pub trait Observer: Send + Sync + Debug {
    /// An operation has ended.
    fn ended(&self, call: &Call<'_>, took: Duration, outcome: Outcome<'_>);
}

impl<O: Observer> Observer for Arc<O> {
    fn ended(&self, call: &Call<'_>, took: Duration, outcome: Outcome<'_>) {
        O::ended(self, call, took, outcome);
    }
}

/// An operation of a store.
#[derive(Debug, Clone, Copy)]
pub struct Call<'c> {
    /// The store.
    pub store: &'c dyn Store,
    /// The method.
    pub method: Method,
    /// On which table; of several the first.
    pub table: Option<&'c StoreTable>,
    /// What [`Store::describe`] calls it, if it has a word for it.
    pub operation: Option<Operation>,
    /// How many changes it is asked for.
    pub changes: usize,
}

/// How an operation has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'o> {
    /// It has read or changed so many rows.
    Done(usize),
    /// With an error.
    Failed(&'o StoreError),
    /// Who has asked doesn't wait for it any more.
    Abandoned,
}

/// A method of [`Store`] or of one of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the method of that name")]
pub enum Method {
    Ping,
    CreateTable,
    DropTable,
    CheckTable,
    Get,
    Range,
    IndexRange,
    FindIndexes,
    ByScore,
    CountByScore,
    Rank,
    Scan,
    Write,
    DeleteEach,
    WriteAll,
    WriteOwn,
    Prepare,
    CommitPrepared,
    RollbackPrepared,
    CheckFollow,
}

/// A store whose operations are watched. It has the parts that the store has, and is the store in
/// all else.
#[derive(Debug)]
pub struct Observed<O> {
    store: Arc<dyn Store>,
    observer: O,
}

/// An operation that is under way. One that is dropped before it has ended is abandoned.
struct UnderWay<'o> {
    call: Call<'o>,
    observer: &'o dyn Observer,
    began: Instant,
    has_ended: bool,
}

impl UnderWay<'_> {
    fn end(mut self, outcome: Outcome<'_>) {
        self.has_ended = true;
        self.observer.ended(&self.call, self.began.elapsed(), outcome);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.observer.ended(&self.call, self.began.elapsed(), Outcome::Abandoned);
        }
    }
}

impl<O: Observer> Observed<O> {
    /// Stands before a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, observer: O) -> Self {
        Self { store, observer }
    }

    fn call(&self, method: Method) -> Call<'_> {
        Call { store: &*self.store, method, table: None, operation: None, changes: 0 }
    }

    fn read<'c>(&'c self, method: Method, table: &'c StoreTable, operation: Operation) -> Call<'c> {
        Call { table: Some(table), operation: Some(operation), ..self.call(method) }
    }

    fn changes<'c>(&'c self, method: Method, changes: &[(&'c StoreTable, Change)]) -> Call<'c> {
        Call {
            table: changes.first().map(|(table, _)| *table),
            operation: Some(Operation::WriteAll),
            changes: changes.len(),
            ..self.call(method)
        }
    }

    /// Watches some work; `rows` says how many rows its result is about.
    async fn watch<T>(
        &self,
        call: Call<'_>,
        work: impl Future<Output = Result<T, StoreError>>,
        rows: impl FnOnce(&T) -> usize,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let under_way = UnderWay { call, observer: &self.observer, began, has_ended: false };
        let done = work.await;
        under_way.end(match &done {
            Ok(done) => Outcome::Done(rows(done)),
            Err(error) => Outcome::Failed(error),
        });
        done
    }
}

#[async_trait]
impl<O: Observer> Store for Observed<O> {
    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    fn has_typed_values(&self) -> bool {
        self.store.has_typed_values()
    }

    fn accepts(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.store.accepts(table)
    }

    fn describe(&self, operation: Operation, table: &StoreTable) -> String {
        self.store.describe(operation, table)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.watch(self.call(Method::Ping), self.store.ping(), |()| 0).await
    }

    async fn check_table(&self, table: &StoreTable) -> Result<Vec<String>, StoreError> {
        let call = Call { table: Some(table), ..self.call(Method::CheckTable) };
        self.watch(call, self.store.check_table(table), |_| 0).await
    }

    async fn get(&self, table: &StoreTable, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        let operation = if keys.len() == 1 { Operation::Get } else { Operation::GetMany };
        let call = self.read(Method::Get, table, operation);
        let rows = |rows: &Vec<Option<Row>>| rows.iter().flatten().count();
        self.watch(call, self.store.get(table, keys), rows).await
    }

    async fn range(
        &self,
        table: &StoreTable,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let call = self.read(Method::Range, table, Operation::Range);
        self.watch(call, self.store.range(table, range, limit), Vec::len).await
    }

    async fn scan(&self, table: &StoreTable, limit: usize) -> Result<Vec<Row>, StoreError> {
        let call = self.read(Method::Scan, table, Operation::Scan);
        self.watch(call, self.store.scan(table, limit), Vec::len).await
    }

    async fn some(&self, table: &StoreTable, limit: usize) -> Result<Option<Vec<Row>>, StoreError> {
        let call = self.read(Method::Scan, table, Operation::Some);
        let rows = |rows: &Option<Vec<Row>>| rows.as_ref().map_or(0, Vec::len);
        self.watch(call, self.store.some(table, limit), rows).await
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        self.store.indexes().map(|_| self as &dyn Indexes)
    }

    fn scores(&self) -> Option<&dyn Scores> {
        self.store.scores().map(|_| self as &dyn Scores)
    }

    fn writes(&self) -> Option<&dyn Writes> {
        self.store.writes().map(|_| self as &dyn Writes)
    }

    fn two_phase(&self) -> Option<&dyn TwoPhase> {
        self.store.two_phase().map(|_| self as &dyn TwoPhase)
    }

    fn defines(&self) -> Option<&dyn Defines> {
        self.store.defines().map(|_| self as &dyn Defines)
    }

    fn feed(&self) -> Option<&dyn Feed> {
        self.store.feed().map(|_| self as &dyn Feed)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Mutex;
    use std::task::{Context, Waker};

    use super::*;
    use crate::{Layout, Own};

    /// A store that answers a scan at once, and a ping never.
    #[derive(Debug)]
    struct Slow;

    #[async_trait]
    impl Store for Slow {
        fn kind(&self) -> &'static str {
            "slow"
        }

        fn accepts(&self, _: &StoreTable) -> Result<(), StoreError> {
            Ok(())
        }

        fn describe(&self, operation: Operation, _: &StoreTable) -> String {
            format!("{operation:?}")
        }

        async fn ping(&self) -> Result<(), StoreError> {
            std::future::pending().await
        }

        async fn check_table(&self, _: &StoreTable) -> Result<Vec<String>, StoreError> {
            Ok(Vec::new())
        }

        async fn get(&self, _: &StoreTable, _: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
            Err(StoreError::Refused { reason: "no".into() })
        }

        async fn range(
            &self,
            _: &StoreTable,
            _: &KeyRange,
            _: usize,
        ) -> Result<Vec<Row>, StoreError> {
            Ok(Vec::new())
        }

        async fn scan(&self, _: &StoreTable, _: usize) -> Result<Vec<Row>, StoreError> {
            Ok(vec![Vec::new(), Vec::new()])
        }

        async fn some(&self, _: &StoreTable, _: usize) -> Result<Option<Vec<Row>>, StoreError> {
            Ok(None)
        }
    }

    #[derive(Debug, Default)]
    struct Seen(Mutex<Vec<String>>);

    impl Observer for Seen {
        fn ended(&self, call: &Call<'_>, _: Duration, outcome: Outcome<'_>) {
            let line = format!("{:?} {:?} {outcome:?}", call.method, call.operation);
            self.0.lock().expect("a lock").push(line);
        }
    }

    fn table() -> StoreTable {
        StoreTable {
            table: Arc::new(flywheel_types::Table {
                name: flywheel_types::TableName::new("public", "t"),
                oid: 0,
                columns: Vec::new(),
                primary_key: Vec::new(),
                primary_key_name: String::new(),
                has_checks: false,
                digest: String::new(),
            }),
            physical_name: "t".into(),
            layout: Layout::Hash,
            expires_at: None,
            allow_scan: true,
            allow_drop: true,
            consistent_read: true,
            wanted: None,
            indexes: Vec::new(),
            own: Own::default(),
        }
    }

    #[test]
    fn each_end_is_told() {
        let seen = Arc::new(Seen::default());
        let store = Observed::new(Arc::new(Slow), seen.clone());
        let mut context = Context::from_waker(Waker::noop());
        let table = table();
        assert!(pin!(store.scan(&table, 9)).poll(&mut context).is_ready());
        assert!(pin!(store.get(&table, &[])).poll(&mut context).is_ready());
        {
            let mut never = pin!(store.ping());
            assert!(never.as_mut().poll(&mut context).is_pending());
        }
        let lines = seen.0.lock().expect("a lock").clone();
        assert_eq!(
            lines,
            [
                "Scan Some(Scan) Done(2)",
                "Get Some(GetMany) Failed(Refused { reason: \"no\" })",
                "Ping None Abandoned",
            ]
        );
    }

    /// What a store lacks isn't pretended.
    #[test]
    fn it_has_the_parts_of_its_store() {
        let store = Observed::new(Arc::new(Slow), Arc::new(Seen::default()));
        assert!(store.writes().is_none() && store.two_phase().is_none());
        assert!(store.indexes().is_none() && store.scores().is_none());
        assert!(store.defines().is_none() && store.feed().is_none());
    }
}
