//! COPY FROM STDIN into a store table. PostgreSQL reads the data into its own, otherwise empty
//! table, with all that a COPY does: options, formats, defaults, checks. The transaction is rolled
//! back, and the rows are written to the store on condition that their keys are absent.
//!
//! The rows wait in PostgreSQL, not here: a load may be of any size. Nothing is written before
//! PostgreSQL has taken all of it and no key was found taken.
//!
//! A COPY's rows wait in PostgreSQL, not in Flywheel: they are read twice through a cursor, first
//! for keys that are taken, then to be written. So a load has no limit, and most errors come before
//! the first row is written.

use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_store::{Change, Effect, Expect};
use flywheel_types::{Key, Row, Table};
use flywheel_wire::{PgError, sqlstate};

use super::staging::{decode_all, select_all};
use super::{Answer, StoreStatement};
use crate::error::duplicate_key;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

/// How many rows are written at once, all or none: as many as a transaction of DynamoDB takes.
pub(super) const ROWS_AT_ONCE: usize = 100;
/// How many bytes of values, at most: such a transaction takes 4 MB, with the attributes' names.
const BYTES_AT_ONCE: usize = 1024 * 1024;

impl<H: Host> Executor<'_, H> {
    pub(super) async fn copy_from(
        &mut self,
        statement: &StoreStatement,
        home: &Arc<Home>,
    ) -> Outcome<Answer> {
        self.check_writable("COPY FROM").await?;
        let (start, end) = self.staging();
        self.on_server(start).await?;
        let copied = match self.check_unoccupied(std::iter::once(&**home)).await {
            Ok(()) => self.copy_staged(&statement.text, home).await,
            Err(failure) => Err(failure),
        };
        if matches!(copied, Err(Failure::Session(_))) {
            return copied.map(Answer::tagged);
        }
        self.on_server(end).await?;
        copied.map(Answer::tagged)
    }

    /// The command tag.
    async fn copy_staged(&mut self, sql: &str, home: &Arc<Home>) -> Outcome<String> {
        let tag = self.receive_copy(sql).await?;
        let count: usize =
            tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
        let table = home.table.table.clone();
        self.print_as_stored([&*table]).await?;
        if self.block().is_open() {
            self.buffer_copied(home, &table, count).await?;
        } else {
            self.write_copied(home, &table, count).await?;
        }
        Ok(tag)
    }

    /// Keeps the rows for COMMIT.
    async fn buffer_copied(
        &mut self,
        home: &Arc<Home>,
        table: &Table,
        count: usize,
    ) -> Outcome<()> {
        let limit = self.stores().max_fetch_rows;
        if count > limit {
            let message = format!(
                "a transaction block can't COPY more than {limit} rows to table \"{}\", homed in {}",
                home.name(),
                home.store.kind()
            );
            return Err(PgError::error(sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
                .with_hint("Outside a block COPY takes any number of rows; or raise `limits.max_fetch_rows` in the configuration.")
                .into());
        }
        self.open_staged(table).await?;
        loop {
            let rows = self.next_staged(table).await?.concat();
            if rows.is_empty() {
                return Ok(());
            }
            self.check_absent(home, &rows).await?;
            let keys: Vec<Key> = rows.iter().map(|row| table.key_of(row)).collect();
            self.hold_absent(home, &rows, &keys).await?;
            for row in rows {
                self.block_mut().write(home, table.key_of(&row), None, Some(row));
            }
        }
    }

    /// Writes the rows to the store.
    async fn write_copied(&mut self, home: &Arc<Home>, table: &Table, count: usize) -> Outcome<()> {
        self.open_staged(table).await?;
        if count > ROWS_AT_ONCE {
            loop {
                let rows = self.next_staged(table).await?.concat();
                if rows.is_empty() {
                    break;
                }
                self.check_absent(home, &rows).await?;
            }
            self.on_server("CLOSE flywheel_staged").await?;
            self.open_staged(table).await?;
        }
        let mut written = 0;
        loop {
            let together = self.next_staged(table).await?;
            if together.is_empty() {
                return Ok(());
            }
            for rows in together.into_iter().flat_map(|rows| by_place(home, rows)) {
                if let Err(failure) = self.write_absent(home, &rows).await {
                    return Err(match failure {
                        Failure::Statement(error) if written > 0 => {
                            Failure::Statement(error.with_hint(format!(
                                "{written} of the {count} rows had been written to the store \
                                 before this, and stay there."
                            )))
                        }
                        other => other,
                    });
                }
                written += rows.len();
            }
        }
    }

    /// Begins to read the rows of PostgreSQL's own table.
    async fn open_staged(&mut self, table: &Table) -> Outcome<()> {
        let declare = format!("DECLARE flywheel_staged NO SCROLL CURSOR FOR {}", select_all(table));
        self.on_server(&declare).await.map(drop)
    }

    /// The next of them, in portions that can be written at once; none when that was all.
    async fn next_staged(&mut self, table: &Table) -> Outcome<Vec<Vec<Row>>> {
        let rows = self
            .run_staged_read(table, &format!("FETCH FORWARD {ROWS_AT_ONCE} FROM flywheel_staged"))
            .await?;
        let sizes =
            rows.rows.iter().map(|row| row.iter().flatten().map(bytes::Bytes::len).sum::<usize>());
        let sizes: Vec<usize> = sizes.collect();
        let mut portions: Vec<Vec<Row>> = Vec::new();
        let mut filled = BYTES_AT_ONCE;
        for (row, size) in decode_all(table, &rows)?.into_iter().zip(sizes) {
            match portions.last_mut() {
                Some(portion) if filled + size <= BYTES_AT_ONCE => portion.push(row),
                _ => {
                    filled = 0;
                    portions.push(vec![row]);
                }
            }
            filled += size;
        }
        Ok(portions)
    }

    /// 23505 when the key of one of the rows is taken.
    async fn check_absent(&mut self, home: &Arc<Home>, rows: &[Row]) -> Outcome<()> {
        let keys: Vec<Key> = rows.iter().map(|row| home.table.table.key_of(row)).collect();
        let stored = self.read_keys(home, &keys).await?;
        match stored.iter().position(Option::is_some) {
            Some(taken) => Err(taken_key(home, &keys[taken]).into()),
            None => Ok(()),
        }
    }

    /// Writes rows whose keys must be absent, all or none.
    async fn write_absent(&mut self, home: &Arc<Home>, rows: &[Row]) -> Outcome<()> {
        let changes: Vec<(Arc<Home>, Change)> = rows
            .iter()
            .map(|row| {
                let change = Change {
                    key: home.table.table.key_of(row),
                    expect: Expect::Absent,
                    effect: Effect::Put(row.clone()),
                };
                (home.clone(), change)
            })
            .collect();
        if self.write_all(&changes).await? {
            return Ok(());
        }
        self.check_absent(home, rows).await?;
        // Taken when it was written, and free again.
        Err(taken_key(home, &changes[0].1.key).into())
    }
}

/// Rows in portions that the store takes together.
pub(super) fn by_place(home: &Home, mut rows: Vec<Row>) -> Vec<Vec<Row>> {
    let place = |row: &Row| home.store.place(&home.table, &home.table.table.key_of(row));
    rows.sort_by_cached_key(place);
    rows.chunk_by(|a, b| place(a) == place(b)).map(<[Row]>::to_vec).collect()
}

/// PostgreSQL's error, but for the line's number, which nobody knows any more.
fn taken_key(home: &Home, key: &Key) -> PgError {
    duplicate_key(home, key).with_field(b'W', format!("COPY {}", home.name().name))
}
