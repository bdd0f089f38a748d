//! What is done to a table with two rows.

use super::{ALL, CREATE, ONE};

/// What is done to a table with two rows.
pub(super) const CASES: &[(&str, &[&str])] = &[
    ("rolled back", &["BEGIN", "DROP TABLE shop.carts", ONE, "ROLLBACK"]),
    ("committed", &["BEGIN", "DROP TABLE shop.carts", "COMMIT"]),
    ("committed, and made anew", &["BEGIN", "DROP TABLE shop.carts", "COMMIT", CREATE, ALL, ONE]),
    (
        "undone to a savepoint",
        &[
            "BEGIN",
            "SAVEPOINT s",
            "DROP TABLE shop.carts",
            "ROLLBACK TO s",
            ALL,
            "INSERT INTO shop.carts VALUES (3, 30)",
            ONE,
            "COMMIT",
        ],
    ),
    (
        "another savepoint",
        &[
            "BEGIN",
            "SAVEPOINT s",
            "DROP TABLE shop.carts",
            "RELEASE s",
            "SAVEPOINT t",
            "SELECT 1/0",
            "ROLLBACK TO t",
            "COMMIT",
        ],
    ),
    ("a failing statement", &["BEGIN", "DROP TABLE shop.carts", "SELECT 1/0", "COMMIT"]),
    ("by a text that fails", &["DROP TABLE shop.carts; SELECT 1/0"]),
    ("by a text", &["DROP TABLE shop.carts; SELECT 1"]),
    (
        "by a text that is a block",
        &["BEGIN; DROP TABLE shop.carts; COMMIT; SELECT n FROM shop.carts WHERE id = 1"],
    ),
    (
        "by a text that is undone",
        &["BEGIN; DROP TABLE shop.carts; ROLLBACK; SELECT n FROM shop.carts WHERE id = 1"],
    ),
    ("its schema, rolled back", &["BEGIN", "DROP SCHEMA shop CASCADE", "ROLLBACK"]),
    (
        "its schema, committed",
        &["BEGIN", "DROP SCHEMA shop CASCADE", "COMMIT", "CREATE SCHEMA shop", CREATE, ALL],
    ),
    (
        "its schema, undone in part",
        &["BEGIN", "SAVEPOINT s", "DROP SCHEMA shop CASCADE", "ROLLBACK TO s", "COMMIT"],
    ),
    (
        "chained",
        &[
            "BEGIN",
            "DROP TABLE shop.carts",
            "ROLLBACK AND CHAIN",
            ONE,
            "DROP TABLE shop.carts",
            "COMMIT AND CHAIN",
            ONE,
            "ROLLBACK",
        ],
    ),
    (
        "with a write elsewhere",
        &[
            "BEGIN",
            "INSERT INTO more VALUES (1)",
            "DROP TABLE shop.carts",
            "SELECT 1/0",
            "ROLLBACK",
        ],
    ),
    (
        "with a committed write elsewhere",
        &[
            "BEGIN",
            "INSERT INTO more VALUES (2)",
            "DROP TABLE shop.carts",
            "COMMIT",
            "SELECT count(*) FROM more",
            CREATE,
            ALL,
        ],
    ),
    (
        "made, and dropped in part",
        &[
            "DROP TABLE shop.carts",
            "BEGIN",
            CREATE,
            "SAVEPOINT s",
            "DROP TABLE shop.carts",
            "ROLLBACK TO s",
            "INSERT INTO shop.carts VALUES (7, 70)",
            ALL,
            "COMMIT",
            "INSERT INTO shop.carts VALUES (8, 80)",
        ],
    ),
    (
        "made and dropped",
        &["DROP TABLE shop.carts", "BEGIN", CREATE, "DROP TABLE shop.carts", "COMMIT"],
    ),
    (
        "made in a savepoint that is undone",
        &["DROP TABLE shop.carts", "BEGIN", "SAVEPOINT s", CREATE, "ROLLBACK TO s", "COMMIT", ONE],
    ),
    (
        "made with another key after one that was undone",
        &[
            "DROP TABLE shop.carts",
            "BEGIN",
            CREATE,
            "ROLLBACK",
            "CREATE TABLE shop.carts (id text PRIMARY KEY, n bigint NOT NULL)",
            "INSERT INTO shop.carts VALUES ('a', 1)",
        ],
    ),
    (
        "emptied, dropped and made anew",
        &[
            "DELETE FROM shop.carts",
            "BEGIN",
            "DROP TABLE shop.carts",
            CREATE,
            "INSERT INTO shop.carts VALUES (4, 40)",
            ALL,
            "COMMIT",
        ],
    ),
    (
        "emptied, dropped and made anew, and rolled back",
        &[
            "DELETE FROM shop.carts",
            "BEGIN",
            "DROP TABLE shop.carts",
            CREATE,
            "INSERT INTO shop.carts VALUES (4, 40)",
            "ROLLBACK",
            "INSERT INTO shop.carts VALUES (5, 50)",
        ],
    ),
    (
        "dropped twice",
        &[
            "BEGIN",
            "SAVEPOINT s",
            "DROP TABLE shop.carts",
            "ROLLBACK TO s",
            "DROP TABLE shop.carts",
            "COMMIT",
            CREATE,
            ALL,
        ],
    ),
    (
        "if it is there",
        &[
            "BEGIN",
            "DROP TABLE IF EXISTS shop.carts, shop.nothing",
            "ROLLBACK",
            "DROP TABLE IF EXISTS shop.nothing, shop.carts",
        ],
    ),
    (
        "made in a snapshot",
        &[
            "DROP TABLE shop.carts",
            "BEGIN ISOLATION LEVEL REPEATABLE READ",
            "SELECT count(*) FROM more",
            CREATE,
            "INSERT INTO shop.carts VALUES (1, 11)",
            ALL,
            "COMMIT",
        ],
    ),
    (
        "made in a serializable block that writes elsewhere",
        &[
            "DROP TABLE shop.carts",
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "INSERT INTO more VALUES (3)",
            CREATE,
            "INSERT INTO shop.carts VALUES (1, 11)",
            "UPDATE shop.carts SET n = n + 1 WHERE id = 1",
            "COMMIT",
        ],
    ),
    (
        "chained outside a block",
        &["INSERT INTO shop.carts VALUES (6, 60); COMMIT AND CHAIN", "SELECT 1"],
    ),
    (
        "undone and chained outside a block",
        &["INSERT INTO shop.carts VALUES (6, 60); ROLLBACK AND CHAIN", "SELECT 1"],
    ),
    (
        "chained after a COMMIT",
        &[
            "INSERT INTO shop.carts VALUES (6, 60); COMMIT; INSERT INTO shop.carts VALUES (7, 70); COMMIT AND CHAIN",
            "SELECT 1",
        ],
    ),
    (
        "a savepoint outside a block",
        &["INSERT INTO shop.carts VALUES (6, 60); SAVEPOINT s", "SELECT 1"],
    ),
    (
        "chained in a block",
        &[
            "BEGIN; INSERT INTO shop.carts VALUES (6, 60); COMMIT AND CHAIN; INSERT INTO shop.carts VALUES (7, 70)",
            "ROLLBACK",
        ],
    ),
    (
        "in a snapshot",
        &[
            "BEGIN ISOLATION LEVEL REPEATABLE READ",
            "SELECT count(*) FROM more",
            "DROP TABLE shop.carts",
            "ROLLBACK",
        ],
    ),
];
