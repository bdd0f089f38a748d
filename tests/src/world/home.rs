//! The homes of tables that tests go through. A new kind of store is a line of [`with_stores!`]
//! and, as its first home, one of [`Home::KINDS`].

use super::Servers;

/// Calls a macro with all homes in which PostgreSQL doesn't keep the rows: `name: Variant "what",`
/// for each. `argument` comes before them, with a semicolon.
#[macro_export]
macro_rules! with_stores {
    ($macro:ident $(, $argument:ident)?) => {
        $crate::with_stores! { @ $macro [$($argument)?] }
    };
    (@ $macro:ident [$($argument:ident)?] $($others:tt)*) => {
        $macro! {
            $($argument;)?
            $($others)*
            dynoxide: Dynoxide "The DynamoDB in this process.",
            dynamodb: DynamoDb "The first DynamoDB of the environment.",
            redis: Redis "Redis.",
            redis_json: RedisJson "Redis, each row a JSON object.",
            memory: Memory "The gateway's memory.",
        }
    };
}

/// The same with all homes.
#[macro_export]
macro_rules! with_homes {
    ($macro:ident $(, $argument:ident)?) => {
        $crate::with_stores! {
            @ $macro [$($argument)?]
            relational: Relational "PostgreSQL itself: the table isn't configured at all.",
        }
    };
}

macro_rules! homes {
    ($($name:ident: $home:ident $what:literal,)*) => {
        /// Where a table's rows live.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Home {
            $(#[doc = $what] $home,)*
        }

        impl Home {
            /// All of them.
            pub const ALL: [Self; [$(Home::$home),*].len()] = [$(Self::$home),*];

            /// Its name in suites and reports.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$home => stringify!($name),)*
                }
            }
        }
    };
}

macro_rules! stores {
    ($($name:ident: $home:ident $what:literal,)*) => {
        impl Home {
            /// All but PostgreSQL itself.
            pub const STORES: [Self; [$(Home::$home),*].len()] = [$(Self::$home),*];
        }
    };
}

with_homes!(homes);
with_stores!(stores);

impl Home {
    /// One home of each kind of store.
    pub const KINDS: [Self; 3] = [Self::Redis, Self::Dynoxide, Self::Memory];

    /// PostgreSQL itself, and one home of each kind of store.
    pub const ONE_OF_EACH: [Self; 4] =
        [Self::Relational, Self::Redis, Self::Dynoxide, Self::Memory];

    /// Kinds of store whose rows outlive the gateway, and which several gateways share.
    pub const LASTING: [Self; 2] = [Self::Redis, Self::Dynoxide];

    /// Those that take many rows in a short time.
    pub const QUICK: [Self; 2] = [Self::Redis, Self::Memory];

    /// Those with the layout `sorted_set`.
    pub const SORTED_SETS: [Self; 2] = [Self::Redis, Self::Memory];

    /// DynamoDB, whoever serves it.
    pub const DYNAMODBS: [Self; 2] = [Self::Dynoxide, Self::DynamoDb];

    /// Those to which a network leads.
    pub const REMOTE: [Self; 3] = [Self::Redis, Self::DynamoDb, Self::Dynoxide];

    /// The store's name in configurations.
    pub(super) const fn store(self) -> &'static str {
        match self {
            Self::RedisJson => Self::Redis.name(),
            other => other.name(),
        }
    }

    /// Whether the environment has it.
    pub fn is_available(self, servers: &Servers) -> bool {
        match self {
            Self::DynamoDb => !servers.dynamodb.is_empty(),
            Self::Redis | Self::RedisJson => servers.redis.is_some(),
            Self::Relational | Self::Dynoxide | Self::Memory => true,
        }
    }
}
