//! Where the tables under test live.

use super::sequence::{ELSEWHERE, UNDER_TEST};
use crate::{Home, Setup};

/// What tables a place takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Any.
    Any,
    /// A key of two columns and a score.
    Leaderboard,
}

/// A home with a layout.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its name in reports.
    pub name: &'static str,
    home: Home,
    /// Of the table that is in another store.
    other: Home,
    keys: &'static [&'static str],
    pub(super) shape: Shape,
    /// The empty text is no key there.
    pub(super) has_full_keys: bool,
}

const fn place(name: &'static str, home: Home, other: Home) -> Place {
    Place { name, home, other, keys: &[], shape: Shape::Any, has_full_keys: false }
}

impl Place {
    /// PostgreSQL, all of whose statements are relayed.
    pub const RELATIONAL: Self = place("relational", Home::Relational, Home::Relational);
    /// The DynamoDB in the tests' process.
    pub const DYNOXIDE: Self = place("dynoxide", Home::Dynoxide, Home::Redis).with_full_keys();
    /// The environment's DynamoDB.
    pub const DYNAMODB: Self = place("dynamodb", Home::DynamoDb, Home::Memory).with_full_keys();
    /// Redis, a hash for each row.
    pub const REDIS: Self = place("redis", Home::Redis, Home::Dynoxide);
    /// Redis, a sorted set for each partition.
    pub const REDIS_SORTED_SET: Self =
        place("redis, sorted_set", Home::Redis, Home::Memory).sorted_set();
    /// Redis, a JSON object for each row.
    pub const REDIS_JSON: Self =
        place("redis, json", Home::Redis, Home::Memory).with(&["layout = \"json\""]);
    /// The gateway's memory.
    pub const MEMORY: Self = place("memory", Home::Memory, Home::Redis);
    /// The gateway's memory, with scores.
    pub const MEMORY_SORTED_SET: Self =
        place("memory, sorted_set", Home::Memory, Home::Dynoxide).sorted_set();

    const fn with_full_keys(mut self) -> Self {
        self.has_full_keys = true;
        self
    }

    const fn with(mut self, keys: &'static [&'static str]) -> Self {
        self.keys = keys;
        self
    }

    const fn sorted_set(mut self) -> Self {
        self.shape = Shape::Leaderboard;
        self.with(&["layout = \"sorted_set\"", "score = \"n\""])
    }

    /// A gateway with these tables.
    pub(super) fn setup(&self) -> Setup {
        let mut setup = Setup::default();
        let allowed = ["allow_scan = true", "allow_drop = true"];
        for table in UNDER_TEST {
            setup = setup.table_with(
                &format!("public.{table}"),
                self.home,
                &[self.keys, &allowed].concat(),
            );
        }
        setup.table_with(&format!("public.{ELSEWHERE}"), self.other, &allowed)
    }

    /// Whether the environment has the stores.
    pub(super) fn is_available(&self, servers: &crate::world::Servers) -> bool {
        self.home.is_available(servers) && self.other.is_available(servers)
    }
}
