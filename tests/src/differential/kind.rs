//! Types of columns, with values that are at an edge or look alike.

/// What is comparable with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Number,
    Text,
    Bool,
    Uuid,
    Bytes,
    Moment,
    Day,
    Span,
    Document,
    List,
    Address,
    /// A type of the database's own, which has another number in each.
    Own,
}

/// A type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// As a column declares it.
    pub(super) name: &'static str,
    /// As a cast names it.
    pub(super) cast: &'static str,
    pub(super) family: Family,
    /// Equal values are printed alike, and an aggregate is exact: which of them is shown doesn't
    /// matter.
    pub(super) is_canonical: bool,
    /// `=` and `<` are defined.
    pub(super) is_ordered: bool,
    /// May be part of a store table's key.
    pub(super) is_key: bool,
    /// Values as text.
    pub(super) values: &'static [&'static str],
}

const fn kind(name: &'static str, family: Family, values: &'static [&'static str]) -> Kind {
    Kind { name, cast: name, family, is_canonical: true, is_ordered: true, is_key: false, values }
}

impl Kind {
    const fn key(mut self) -> Self {
        self.is_key = true;
        self
    }

    const fn not_canonical(mut self) -> Self {
        self.is_canonical = false;
        self
    }

    const fn not_ordered(mut self) -> Self {
        self.is_ordered = false;
        self
    }

    const fn cast(mut self, cast: &'static str) -> Self {
        self.cast = cast;
        self
    }

    /// Whether it is a whole number.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.name, "smallint" | "integer" | "bigint")
    }
}

const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "A",
    "a ",
    "ab",
    "ä",
    "Ω🌍",
    "%_\\",
    "null",
    "it's",
    "1",
    "a\nb\tc",
    "{\"a\": 1}",
    "\u{1}\u{7f}",
    "a,b:c}d*",
];

/// All of them.
pub(super) static KINDS: &[Kind] = &[
    kind("smallint", Family::Number, &["0", "1", "2", "3", "-1", "32767", "-32768"]).key(),
    kind(
        "integer",
        Family::Number,
        &["0", "1", "2", "3", "-1", "-10", "9", "10", "2147483647", "-2147483648"],
    )
    .key(),
    kind(
        "bigint",
        Family::Number,
        &[
            "0",
            "1",
            "2",
            "3",
            "-1",
            "9007199254740993",
            "9223372036854775807",
            "-9223372036854775808",
        ],
    )
    .key(),
    kind(
        "numeric(6,2)",
        Family::Number,
        &["0", "1", "1.5", "1.50", "2", "-1.5", "-0.01", "9999.99", "10", "3.005"],
    )
    .key(),
    kind(
        "numeric",
        Family::Number,
        &[
            "0",
            "1",
            "1.0",
            "1.00",
            "-0.5",
            "1e-20",
            "12345678901234567890123456789012345678901.5",
            "NaN",
            "Infinity",
            "-Infinity",
            "100",
            "1e2",
        ],
    )
    .not_canonical(),
    kind(
        "real",
        Family::Number,
        &["0", "-0", "1", "1.5", "0.1", "3.4028235e38", "1e-45", "NaN", "Infinity", "-Infinity"],
    )
    .not_canonical(),
    kind(
        "double precision",
        Family::Number,
        &[
            "0",
            "-0",
            "1",
            "2",
            "1.5",
            "0.1",
            "0.30000000000000004",
            "1e308",
            "5e-324",
            "1e23",
            "NaN",
            "Infinity",
            "-Infinity",
        ],
    )
    .not_canonical(),
    kind("text", Family::Text, TEXTS).key(),
    kind("text COLLATE \"C\"", Family::Text, TEXTS).cast("text").key(),
    kind("varchar(9)", Family::Text, TEXTS).key(),
    kind("char(3)", Family::Text, &["", "a", "a  ", "ab", "äb", "abc", "b"]).key(),
    kind("boolean", Family::Bool, &["t", "f"]).key(),
    kind(
        "uuid",
        Family::Uuid,
        &[
            "00000000-0000-0000-0000-000000000000",
            "11111111-1111-1111-1111-111111111111",
            "{AAAAAAAA-aaaa-aaaa-aaaa-aaaaaaaaaaaa}",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    )
    .key(),
    kind("bytea", Family::Bytes, &["\\x", "\\x00", "\\x61", "\\xff00", "\\x6100", "a\\\\b"]).key(),
    kind(
        "timestamptz",
        Family::Moment,
        &[
            "2026-01-01 00:00:00+00",
            "2026-01-01 01:00:00+01",
            "2026-01-01 00:00:00.000001+00",
            "1969-12-31 23:59:59.999999+00",
            "2026-03-29 02:30:00 Europe/Berlin",
            "infinity",
            "-infinity",
            "0044-03-15 00:00:00+00 BC",
            "294276-12-31 23:59:59.999999+00",
        ],
    )
    .key(),
    kind(
        "timestamptz(3)",
        Family::Moment,
        &["2026-01-01 00:00:00.0004+00", "2026-01-01 00:00:00+00", "infinity"],
    ),
    kind(
        "timestamp",
        Family::Moment,
        &["2026-01-01 00:00:00", "2026-01-01 00:00:00.5", "-infinity"],
    ),
    kind(
        "date",
        Family::Day,
        &[
            "2026-01-01",
            "2026-01-02",
            "1970-01-01",
            "infinity",
            "-infinity",
            "4713-01-01 BC",
            "5874897-12-31",
        ],
    )
    .key(),
    kind("time", Family::Span, &["00:00", "12:34:56.789", "24:00"]).key(),
    kind(
        "interval",
        Family::Span,
        &["1 day", "24:00:00", "1 mon", "30 days", "-1 year", "00:00:00.000001"],
    )
    .not_canonical(),
    kind("json", Family::Document, &["null", "{\"b\": 1,  \"a\": 1.0}", "[1, 2.50]", "\"ä\""])
        .not_ordered(),
    kind(
        "jsonb",
        Family::Document,
        &[
            "null",
            "{\"b\": 1,  \"a\": 1.0}",
            "{\"a\": 1.00}",
            "[1, 2.50, null]",
            "\"ä\"",
            "1.0",
            "1.00",
        ],
    )
    .not_canonical(),
    kind("integer[]", Family::List, &["{}", "{1,2,NULL}", "{{1,2},{3,4}}", "[0:1]={1,2}"]),
    kind("text[]", Family::List, &["{}", "{a,\"b c\",NULL,\"NULL\",\"\"}", "{ä}"]),
    kind("inet", Family::Address, &["10.0.0.1", "10.0.0.0/8", "::1"]).key(),
    kind("mood", Family::Own, &["red", "green", "blue"]).key(),
    kind("small", Family::Own, &["1", "2", "60", "0", "100"]),
];

/// Makes the types of the database's own, which no table has any more.
pub(super) const OWN: [&str; 4] = [
    "DROP TYPE IF EXISTS mood",
    "DROP DOMAIN IF EXISTS small",
    "CREATE TYPE mood AS ENUM ('red', 'green', 'blue')",
    "CREATE DOMAIN small AS int CHECK (VALUE < 100)",
];

/// A type by its name.
pub(super) fn by_name(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).expect("a type of the list")
}
