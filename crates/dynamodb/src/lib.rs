//! DynamoDB as a home of tables.
//!
//! # How a row lies in DynamoDB
//!
//! A table is a table, named as configured (`schema.name` unless told otherwise) with the
//! installation's prefix. The primary key's first column is the partition key, its second the sort
//! key. Each column is an attribute of its name, and NULL is an absent attribute (an attribute of
//! type NULL is read as NULL too).
//!
//! A key of more than two columns has as its sort key a binary attribute of its own,
//! `flywheel_sort`: all columns but the first as [bytes in their order](flywheel_types::ordered).
//! The columns are attributes as well; another tool may read them, and should leave writing to
//! Flywheel.
//!
//! | column | attribute | in a key |
//! | --- | --- | --- |
//! | `smallint`, `integer`, `bigint` | N | N |
//! | `numeric(p,s)` | N, its trailing zeros restored at reading; S past 38 digits, and for `NaN` | N of up to 38 digits |
//! | `numeric` | N where the digits come back as they were; else S (`1.50`, more than 38 digits, `NaN`, `Infinity`) | – |
//! | `real`, `double precision` | N; S for `NaN`, infinities, `-0` and magnitudes outside of 1E-130 … 9.9E+125 | – |
//! | `boolean` | BOOL | S: `false`, `true` |
//! | `text`, `varchar`, `uuid` | S | S, not empty |
//! | `char(n)` | S with the blanks that fill it up | S without them, not empty |
//! | `time` | S: `14:24:28.5`, whose byte order is the order in time | S |
//! | `name`, `oid`, `inet`, `cidr`, `macaddr`, enums | S as PostgreSQL prints it | S, not empty |
//! | `timestamptz` | S: `2026-11-23T14:24:28.123456Z`, always this wide, so that byte order is the order in time | S |
//! | `timestamp` | S: the same without the Z | S |
//! | `date` | S: `2026-11-23` | S |
//! | these outside of the years 1 to 9999 | S in the same order: `-infinity`, `/9957-03-15` (n BC as 10000 − n), `Y0010000-01-01`, `infinity` | S |
//! | `bytea` | B | B, not empty |
//! | `jsonb` | M, L, N or BOOL where it comes back to the byte; else S, the JSON text. Strings and null at the top are S always, as JSON text: `"x"`, `null` | – |
//! | `json` | S, the text as it was given | – |
//! | any other | S as PostgreSQL prints it | – |
//!
//! A column outside of the primary key that a secondary index is over has the form of a key (`true`
//! as S), and the limits of one. A row with NULL there isn't in the index. An index that holds only
//! some attributes gives keys, by which whole items are read.
//!
//! A `jsonb` document stays text when it has a number with trailing zeros after the point (`1.50`)
//! or of more than 38 digits, an empty key, or more than 31 levels.
//!
//! Of a table whose rows expire, an item has besides the column's attribute a number,
//! `flywheel_ttl`: the seconds since 1970, rounded up, at which DynamoDB's time-to-live may delete
//! it. DynamoDB takes days for that; Flywheel goes by the column. A tool that changes the column
//! should change both.
//!
//! While a transaction that has written the row is about to commit, the item has the transaction's
//! name as `flywheel_lock`; a row that the transaction makes is until then an item of its key with
//! `flywheel_absent`.
//!
//! # What is sent
//!
//! [`Store::get`](flywheel_store::Store::get) is GetItem or BatchGetItem, `range` and `index_range`
//! are Query, `scan` is Scan; a write is PutItem, UpdateItem or DeleteItem with its condition as
//! ConditionExpression, and several are TransactWriteItems; TRUNCATE's deletions are DeleteItem,
//! many at a time. Every condition has in it that nobody has locked the item. Everything that could
//! be larger than an answer is read page by page. A single write is never sent again unless
//! DynamoDB said that the first had no effect.
//!
//! # The parts
//!
//! `client` connects. `change`, `condition` and `expression` make requests of changes, which
//! `write`, `transact` and `delete_rows` send; `lock` has them wait; `read`, `range`, `scan`,
//! `projection` and `paging` read; `admin`, `index` and `accepts` see to definitions. `item`, `key`
//! and `attribute` with `number`, `time` and `json` are the mapping above. `streams` tells of
//! changes. `limits` and `error` know what DynamoDB refuses, `send_once` and `backoff` when to ask
//! again. `kind` and `table` are its keys in the configuration file.

mod accepts;
mod admin;
mod attribute;
mod backoff;
mod change;
mod client;
mod condition;
mod delete_rows;
mod error;
mod expression;
mod index;
mod item;
mod json;
mod key;
mod kind;
mod limits;
mod lock;
mod number;
mod paging;
mod projection;
mod range;
mod read;
mod scan;
mod send_once;
mod store;
mod streams;
pub mod table;
#[cfg(test)]
mod test_tables;
mod time;
mod transact;
mod write;

pub use client::{DynamoStore, Options};
pub use kind::DynamoKind;
