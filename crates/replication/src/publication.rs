//! What a stream needs in PostgreSQL: `wal_level = logical`, a publication of the tables, and a
//! slot, which ends with its connection.

use flywheel_types::{TableName, quote_identifier};
use flywheel_wire::quote::literal;
use pgwire_replication::{PgWireError, QueryRow, ReplicationClient};

use crate::{Options, ReplicationError};

/// Sees to it that the publication has the tables, and makes the slot.
pub(crate) async fn prepare(
    client: &mut ReplicationClient,
    options: &Options,
    slot: &str,
) -> Result<(), ReplicationError> {
    if let Some(Unfit { what, hint, .. }) = check(client, &options.tables).await?.into_iter().next()
    {
        return Err(ReplicationError::Unfit { what, hint });
    }
    publish(client, options).await?;
    let create =
        format!("CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT");
    client.simple_query(&create).await.map(drop).map_err(|error| match error {
        PgWireError::Server(what) => ReplicationError::Unfit {
            what,
            hint: "logical replication needs wal_level = logical, a free slot (max_replication_slots), and a role with REPLICATION"
                .to_owned(),
        },
        error => error.into(),
    })
}

/// A table whose changes can't be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The table, as it was asked for.
    pub table: TableName,
    /// Whether it is there at all.
    pub exists: bool,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// The tables must be such that their changes can be told: one without a replica identity couldn't
/// be updated any more once it is published.
pub(crate) async fn check(
    client: &mut ReplicationClient,
    tables: &[TableName],
) -> Result<Vec<Unfit>, ReplicationError> {
    let found = rows(client, "SHOW wal_level").await?;
    if text(&found, 0, 0) != "logical" {
        return Err(ReplicationError::Unfit {
            what: format!("PostgreSQL runs with wal_level = {}", text(&found, 0, 0)),
            hint: "set wal_level = logical and restart it".to_owned(),
        });
    }
    let mut unfit = Vec::new();
    for table in tables {
        let sql = format!(
            "WITH RECURSIVE down(oid) AS (
                SELECT pg_catalog.to_regclass({name})::oid
                UNION SELECT inhrelid FROM pg_catalog.pg_inherits JOIN down ON inhparent = down.oid
            ) SELECT c.oid::regclass::text, c.relkind, c.relpersistence, {IDENTITY}
            FROM down LEFT JOIN pg_catalog.pg_class c USING (oid)",
            name = literal(&table.to_sql())
        );
        let found = rows(client, &sql).await?;
        for row in 0..found.len() {
            let name = text(&found, row, 0);
            let (what, hint) =
                match (text(&found, row, 1), text(&found, row, 2), text(&found, row, 3)) {
                    ("", ..) => (
                        format!("table {table} doesn't exist"),
                        "create it, or take it out of the rule",
                    ),
                    ("r" | "p", "p", "t") => continue,
                    ("r" | "p", "p", _) => (
                        format!("table {name} has no replica identity"),
                        "give it a primary key, or ALTER TABLE … REPLICA IDENTITY FULL",
                    ),
                    ("r" | "p", ..) => {
                        (format!("table {name} isn't logged"), "ALTER TABLE … SET LOGGED")
                    }
                    _ => (format!("{name} isn't a table"), "name the tables that it reads"),
                };
            unfit.push(Unfit {
                table: table.clone(),
                exists: !name.is_empty(),
                what,
                hint: hint.to_owned(),
            });
        }
    }
    Ok(unfit)
}

/// A query that says whether all of this holds still: the tables are the published ones, and their
/// changes can be told.
pub(crate) fn is_told(options: &Options) -> String {
    let names: Vec<_> = options.tables.iter().map(|table| literal(&table.to_sql())).collect();
    format!(
        "WITH RECURSIVE named(oid) AS (
            SELECT pg_catalog.to_regclass(name)::oid FROM pg_catalog.unnest(ARRAY[{}]::text[]) name
        ), down(oid) AS (
            SELECT oid FROM named UNION SELECT inhrelid FROM pg_catalog.pg_inherits JOIN down ON inhparent = down.oid
        ) SELECT pg_catalog.bool_and(COALESCE(relkind IN ('r', 'p') AND relpersistence = 'p' AND {IDENTITY}, false)) AND EXISTS (
            SELECT FROM pg_catalog.pg_publication p WHERE pubname = {} AND pubinsert AND pubupdate AND pubdelete AND pubtruncate AND NOT pubviaroot
            AND (puballtables OR NOT EXISTS (SELECT FROM named WHERE NOT EXISTS (
                SELECT FROM pg_catalog.pg_publication_rel r WHERE prpubid = p.oid AND prrelid = named.oid AND {WHOLE}))))
        FROM down LEFT JOIN pg_catalog.pg_class c USING (oid)",
        names.join(", "),
        literal(&options.publication)
    )
}

/// Whether the stream tells which row of `pg_class c` an UPDATE or DELETE was about.
const IDENTITY: &str = "(c.relreplident IN ('f', 'i') OR c.relreplident = 'd' AND EXISTS (
    SELECT FROM pg_catalog.pg_index WHERE indrelid = c.oid AND indisprimary))";

/// Whether an entry of `pg_publication_rel r` has all rows and columns of its table. Before
/// PostgreSQL 15 there were no others.
const WHOLE: &str =
    "pg_catalog.to_jsonb(r) ->> 'prqual' IS NULL AND pg_catalog.to_jsonb(r) ->> 'prattrs' IS NULL";

/// Makes the publication, or adds to it what it lacks. Other gateways may use it, too: nothing is
/// taken out.
async fn publish(
    client: &mut ReplicationClient,
    options: &Options,
) -> Result<(), ReplicationError> {
    let (publication, named) =
        (quote_identifier(&options.publication), literal(&options.publication));
    let sql = format!(
        "SELECT puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate AND NOT pubviaroot FROM pg_catalog.pg_publication WHERE pubname = {named}"
    );
    let found = rows(client, &sql).await?;
    let change = match (found.len(), text(&found, 0, 0), text(&found, 0, 1)) {
        (0, ..) => format!("CREATE PUBLICATION {publication} FOR TABLE {}", list(&options.tables)),
        (_, "t", "t") => return Ok(()),
        (_, _, "t") => {
            let mut missing = Vec::new();
            for table in &options.tables {
                let sql = format!(
                    "SELECT FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = prpubid
                    WHERE pubname = {named} AND prrelid = pg_catalog.to_regclass({}) AND {WHOLE}",
                    literal(&table.to_sql())
                );
                if rows(client, &sql).await?.is_empty() {
                    missing.push(table.clone());
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            format!("ALTER PUBLICATION {publication} ADD TABLE {}", list(&missing))
        }
        _ => {
            return Err(ReplicationError::Unfit {
                what: format!("publication {publication} doesn't publish all that happens to its tables"),
                hint: "DROP PUBLICATION, and Flywheel makes it anew; or give Flywheel another name for it".to_owned(),
            });
        }
    };
    match client.simple_query(&change).await {
        Ok(_) => Ok(()),
        // Another gateway was faster, maybe: the next attempt finds it.
        Err(PgWireError::Server(what)) => Err(ReplicationError::Unfit {
            what,
            hint: format!("the tables' owner can say: {change}"),
        }),
        Err(error) => Err(error.into()),
    }
}

fn list(tables: &[TableName]) -> String {
    let names: Vec<_> = tables.iter().map(TableName::to_sql).collect();
    names.join(", ")
}

async fn rows(
    client: &mut ReplicationClient,
    sql: &str,
) -> Result<Vec<QueryRow>, ReplicationError> {
    Ok(client.simple_query(sql).await?)
}

fn text(rows: &[QueryRow], row: usize, column: usize) -> &str {
    let value = rows.get(row).and_then(|row| row.get(column)?.as_deref());
    value.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}
