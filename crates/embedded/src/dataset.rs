//! A small data set, of an application for learning languages, to look at on a first start.
//!
//! It is SQL text in the folder `dataset`, run through the gateway statement by statement: what
//! arrives in the stores is what the gateway made of it. Its store tables are `search_history` (a
//! sort key), `sessions` (an expiry) and `leaderboard` (a score).

use std::sync::LazyLock;

static SCHEMA: LazyLock<Vec<&str>> =
    LazyLock::new(|| statements(include_str!("dataset/schema.sql")));

/// In the order that the foreign keys ask for.
static ROWS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let files = [
        include_str!("dataset/users.sql"),
        include_str!("dataset/lessons.sql"),
        include_str!("dataset/enrolments.sql"),
        include_str!("dataset/words.sql"),
        include_str!("dataset/search_history.sql"),
        include_str!("dataset/sessions.sql"),
        include_str!("dataset/leaderboard.sql"),
    ];
    files.into_iter().flat_map(statements).collect()
});

/// The statements that create the tables, in order. They may be run again.
pub fn schema() -> &'static [&'static str] {
    &SCHEMA
}

/// The statements that insert the rows, in order, at most 25 rows in each: what DynamoDB takes in
/// one write. They may be run once.
pub fn rows() -> &'static [&'static str] {
    &ROWS
}

/// A statement to try, and what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// What it shows, in a few words.
    pub title: &'static str,
    /// The statement, on one line and without a semicolon.
    pub sql: &'static str,
}

/// Statements for the first minutes, each answered in another way.
pub const SAMPLES: [Sample; 3] = [
    Sample {
        title: "a range of one partition in DynamoDB",
        sql: "SELECT searched_at, query, results FROM search_history WHERE user_id = 7 ORDER BY searched_at DESC LIMIT 5",
    },
    Sample {
        title: "the top of a sorted set",
        sql: "SELECT member, score FROM leaderboard WHERE board = 'weekly' ORDER BY score DESC LIMIT 5",
    },
    Sample {
        title: "a join of three stores",
        sql: "SELECT u.name, s.device, h.query FROM users u \
              JOIN sessions s ON s.user_id = u.id JOIN search_history h ON h.user_id = u.id \
              WHERE u.id = 7 AND h.user_id = 7 AND s.id = '18711064-64b7-5848-80de-8e8afb54b51c'",
    },
];

/// The statements of a file whose statements end in a semicolon at the end of a line.
fn statements(file: &'static str) -> Vec<&'static str> {
    file.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()).collect()
}
