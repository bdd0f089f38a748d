//! Many writers of one row.

use super::{Suite, fixture::*, put, same};
use crate::{Applied, Expect, StoreError};
use flywheel_types::Value;

const TASKS: i64 = 20;
const INCREMENTS: i64 = 20;

pub(super) async fn check(suite: &Suite) {
    increments(suite).await;
    one_wins(suite).await;
    if !suite.partitions_apart {
        transfers(suite).await;
    }
}

/// Read, compare and set, again when refused: no increment is lost.
async fn increments(suite: &Suite) {
    let table =
        suite.fresh("increments", &[("id", text_type()), ("n", int8_type())], &["id"]).await;
    suite.put(&table, vec![text("c"), int(0)]).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (suite, table) = (suite.clone(), table.clone());
            tokio::spawn(async move {
                let id = key(&[text("c")]);
                for _ in 0..INCREMENTS {
                    loop {
                        let row = suite.get_one(&table, &id).await.expect("the row");
                        let Value::Int(n) = row[1] else { panic!("{row:?}") };
                        let change =
                            put(&table, Expect::Unchanged(row), vec![text("c"), int(n + 1)]);
                        if suite.write(&table, change).await != Applied::Refused {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    let row = suite.get_one(&table, &key(&[text("c")])).await;
    same(&row, &Some(vec![text("c"), int(TASKS * INCREMENTS)]), "no increment is lost");
    suite.drop(&table).await;
}

/// Of many that put a row if it is absent, one does.
async fn one_wins(suite: &Suite) {
    let table = suite.fresh("one_wins", &[("id", text_type()), ("n", int8_type())], &["id"]).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let (suite, table) = (suite.clone(), table.clone());
            tokio::spawn(async move {
                suite.write(&table, put(&table, Expect::Absent, vec![text("w"), int(n)])).await
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        if let Applied::Done(row) = task.await.expect("a task") {
            winners.push(row);
        }
    }
    assert_eq!(winners.len(), 1, "one winner");
    same(&suite.get_one(&table, &key(&[text("w")])).await, &winners[0], "the winner's row stays");
    suite.drop(&table).await;
}

/// Amounts moved between rows by `write_all` while others move them: the sum stays.
async fn transfers(suite: &Suite) {
    const ACCOUNTS: i64 = 5;
    let table = suite.fresh("transfers", &[("id", int8_type()), ("n", int8_type())], &["id"]).await;
    for id in 0..ACCOUNTS {
        suite.put(&table, vec![int(id), int(100)]).await;
    }
    let tasks: Vec<_> = (0..8)
        .map(|task: i64| {
            let (suite, table) = (suite.clone(), table.clone());
            tokio::spawn(async move {
                for step in 0..10 {
                    let (from, to) = ((task + step) % ACCOUNTS, (task + step * 3 + 1) % ACCOUNTS);
                    if from != to {
                        transfer(&suite, &table, from, to).await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    let rows = suite.store.scan(&table, 100).await.expect("scan");
    let sum: i64 = rows.iter().map(|row| if let Value::Int(n) = row[1] { n } else { 0 }).sum();
    assert_eq!(sum, ACCOUNTS * 100, "nothing is lost or made: {rows:?}");
    suite.drop(&table).await;
}

async fn transfer(suite: &Suite, table: &crate::StoreTable, from: i64, to: i64) {
    loop {
        let keys = [key(&[int(from)]), key(&[int(to)])];
        let rows = suite.store.get(table, &keys).await.expect("get");
        let changes: Vec<_> = rows
            .into_iter()
            .zip([-1, 1])
            .map(|(row, amount)| {
                let row = row.expect("an account");
                let Value::Int(n) = row[1] else { panic!("{row:?}") };
                let next = vec![row[0].clone(), int(n + amount)];
                (table, put(table, Expect::Unchanged(row), next))
            })
            .collect();
        match suite.store.write_all(&changes).await {
            Ok(true) => return,
            Ok(false) | Err(StoreError::Throttled { .. } | StoreError::Conflict { .. }) => {
                tokio::task::yield_now().await
            }
            Err(error) => panic!("write_all: {error}"),
        }
    }
}
