//! Tables made, checked, dropped; definitions refused.

use std::sync::Arc;

use flywheel_types::{TypeInfo, oid};

use super::{Suite, fixture::*, put, same};
use crate::{Expect, Operation, StoreError};

pub(super) async fn check(suite: &Suite) {
    suite.store.ping().await.expect("ping");
    create_and_drop(suite).await;
    refuses_keys_without_canonical_bytes(suite);
}

async fn create_and_drop(suite: &Suite) {
    let columns = [("id", int8_type()), ("name", text_type())];
    let table = suite.fresh("definition", &columns, &["id"]).await;
    suite.store.create_table(&table).await.expect("create_table of a table that is there");
    same(
        &suite.store.check_table(&table).await.expect("check_table"),
        &vec![],
        "a new table fits its definition",
    );
    let row = vec![int(1), text("one")];
    suite.put(&table, row.clone()).await;
    suite.store.create_table(&table).await.expect("create_table again");
    same(
        &suite.get_one(&table, &key(&[int(1)])).await,
        &Some(row.clone()),
        "create_table leaves the rows",
    );
    same(
        &suite.store.check_table(&table).await.expect("check_table"),
        &vec![],
        "a table with a row fits its definition",
    );

    suite.drop(&table).await;
    suite.drop(&table).await;
    suite.store.create_table(&table).await.expect("create_table after drop_table");
    same(&suite.get_one(&table, &key(&[int(1)])).await, &None, "drop_table takes the rows");
    same(&suite.store.scan(&table, 10).await.expect("scan"), &vec![], "scan of an empty table");
    let applied = suite.write(&table, put(&table, Expect::Absent, row.clone())).await;
    same(&applied, &crate::Applied::Done(Some(row)), "put into a table made again");

    for operation in [
        Operation::Get,
        Operation::GetMany,
        Operation::Range,
        Operation::ByScore { descending: true, whole: true },
        Operation::CountByScore { whole: true },
        Operation::Rank,
        Operation::Scan,
        Operation::Some,
        Operation::Put,
        Operation::Update,
        Operation::Delete,
        Operation::WriteAll,
    ] {
        let description = suite.store.describe(operation, &table);
        assert!(!description.is_empty(), "{operation:?} has a name");
    }
    suite.drop(&table).await;
}

fn refuses_keys_without_canonical_bytes(suite: &Suite) {
    let refused = |what: &str, table: &crate::StoreTable| {
        let answer = suite.store.accepts(table);
        assert!(
            matches!(&answer, Err(StoreError::Unsupported { what }) if what.contains("bad")),
            "{what} as a key: {answer:?}"
        );
    };
    for (ty_oid, name) in [
        (oid::FLOAT8, "double precision"),
        (oid::JSONB, "jsonb"),
        (oid::NUMERIC, "numeric"),
        (oid::BPCHAR, "character"),
    ] {
        let columns = [("id", int8_type()), ("bad", TypeInfo::new(ty_oid, -1, name))];
        refused(name, &table("definition_refused", &columns, &["bad"]));
        refused(name, &table("definition_refused", &columns, &["id", "bad"]));
    }
    let mut collated = table("definition_refused", &[("bad", text_type())], &["bad"]);
    Arc::make_mut(&mut collated.table).columns[0].deterministic = false;
    refused("text of a nondeterministic collation", &collated);
}
