//! The names of a table's keys in Redis.

use flywheel_store::{Layout, StoreTable, text_row};
use flywheel_types::{Key, Value, ordered};

/// What tells a lock from a row of the same partition.
const LOCK: &str = "#lock";

/// The names under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keyspace {
    prefix: String,
}

/// What a name of one of a table's keys stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Name<'n> {
    /// `{table}`
    Table,
    /// `{table:partition}`, with the partition as it stands there
    Partition(&'n str),
    /// `{table:partition}:sort`
    Row,
    /// `{table}#…`
    Index,
    /// `{table:partition}#lock` or `{table:partition}#lock:sort`; of a set without partitions
    /// `{table}#lock:member`
    Lock,
}

impl Keyspace {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// `prefix` and table, as all names of the table's keys begin: `{public.sessions`
    fn head(&self, table: &StoreTable) -> String {
        format!("{{{}{}", self.prefix, table.physical_name)
    }

    /// `{table}`, the one sorted set of a table whose key is the member alone.
    pub(crate) fn table(&self, table: &StoreTable) -> String {
        self.head(table) + "}"
    }

    /// `{table:partition}`
    pub(crate) fn partition(&self, table: &StoreTable, partition: &Value) -> String {
        let mut name = self.head(table);
        name.push(':');
        push_escaped(&mut name, partition);
        name.push('}');
        name
    }

    /// The hash of a row: `{table:partition}`, or `{table:partition}:sort` where the key has
    /// further columns.
    pub(crate) fn row(&self, table: &StoreTable, key: &Key) -> String {
        let mut name = self.partition(table, key.partition());
        for value in key.sort() {
            name.push(':');
            push_escaped(&mut name, value);
        }
        name
    }

    /// `{table}#index:value`, the members of an index with this value in its first column.
    pub(crate) fn index(&self, table: &StoreTable, index: &str, value: &Value) -> String {
        let mut name = self.indexes(table);
        push_escaped(&mut name, &Value::Text(index.to_owned()));
        name.push(':');
        push_escaped(&mut name, value);
        name
    }

    /// `{table}#`, the hash of the indexes that are whole.
    pub(crate) fn indexes(&self, table: &StoreTable) -> String {
        self.table(table) + "#"
    }

    /// The end of a row's name, behind what all names of the table begin with.
    pub(crate) fn row_end<'n>(&self, table: &StoreTable, name: &'n str) -> &'n str {
        name.strip_prefix(&self.head(table)).unwrap_or(name)
    }

    /// The name of a row from its [`Keyspace::row_end`].
    pub(crate) fn row_of_end(&self, table: &StoreTable, end: &str) -> String {
        self.head(table) + end
    }

    /// The key in a row's slot that says which transaction has locked the row.
    pub(crate) fn lock(&self, table: &StoreTable, key: &Key) -> String {
        let (mut name, further) = match (table.layout, key.sort()) {
            (Layout::SortedSet { .. }, []) => (self.table(table), key.values()),
            (_, sort) => (self.partition(table, key.partition()), sort),
        };
        name.push_str(LOCK);
        for value in further {
            name.push(':');
            push_escaped(&mut name, value);
        }
        name
    }

    /// A pattern for SCAN that all names of the table's keys match, and perhaps others: see
    /// [`Keyspace::parse`].
    pub(crate) fn pattern(&self, table: &StoreTable) -> String {
        let mut pattern = String::new();
        for character in self.head(table).chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push('*');
        pattern
    }

    /// With one of these all names of the table's keys begin.
    pub(crate) fn prefixes(&self, table: &StoreTable) -> [String; 2] {
        [self.head(table) + ":", self.table(table)]
    }

    /// A key of Flywheel's own, among those that it may write, and no table's.
    pub(crate) fn heartbeat(&self, number: u64) -> String {
        format!("{{{}#heartbeat:{number:016x}}}", self.prefix)
    }

    /// What `name` is among the table's keys; `None`: it belongs to another table, or to somebody
    /// else.
    pub(crate) fn parse<'n>(&self, table: &StoreTable, name: &'n str) -> Option<Name<'n>> {
        let rest = name.strip_prefix(&self.head(table))?;
        if let Some(rest) = rest.strip_prefix('}') {
            return match rest {
                "" => Some(Name::Table),
                _ if rest.starts_with(LOCK) => Some(Name::Lock),
                _ => rest.starts_with('#').then_some(Name::Index),
            };
        }
        let (partition, rest) = rest.strip_prefix(':')?.split_once('}')?;
        // A colon here is of a longer table name: values have none.
        if partition.contains(':') {
            return None;
        }
        match rest {
            "" => Some(Name::Partition(partition)),
            _ if rest.starts_with(LOCK) => Some(Name::Lock),
            _ => rest.starts_with(':').then_some(Name::Row),
        }
    }
}

/// The member that stands for a row in its partition's sorted set: bytes in the order of the sort
/// key, then the end of the row's name, then that end's length, so that the name is found again.
pub(crate) fn companion_member(sort: &[Value]) -> Vec<u8> {
    let mut name = String::new();
    for value in sort {
        name.push(':');
        push_escaped(&mut name, value);
    }
    index_member(sort, &name)
}

/// The same for a member of an index.
pub(crate) fn index_member(sort: &[Value], name: &str) -> Vec<u8> {
    let mut member = ordered::encode(sort);
    member.extend_from_slice(name.as_bytes());
    member.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes());
    member
}

/// The end of a row's name from its [`companion_member`] (`:sort`) or [`index_member`].
pub(crate) fn row_name_end(member: &[u8]) -> Option<&str> {
    let (rest, length) = member.split_last_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let start = rest.len().checked_sub(length)?;
    std::str::from_utf8(&rest[start..]).ok()
}

fn push_escaped(name: &mut String, value: &Value) {
    for character in text_row::encode(value).unwrap_or_default().chars() {
        match character {
            '%' | ':' | '{' | '}' | '\0'..='\x1f' | '\x7f' => {
                name.push_str(&format!("%{:02X}", u32::from(character)));
            }
            _ => name.push(character),
        }
    }
}

/// A value's text from its form in a name.
pub(crate) fn unescape(escaped: &str) -> Option<String> {
    let mut parts = escaped.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let code = u8::from_str_radix(part.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        text.push(char::from(code));
        text.push_str(&part[2..]);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use flywheel_store::conformance::fixture::*;

    use super::*;

    #[test]
    fn names_and_back() {
        let table = table("public.t*", &[("a", text_type()), ("b", int8_type())], &["a", "b"]);
        let keys = Keyspace::new("app:");
        let key = key(&[text("x:{é}\n100%"), int(-7)]);
        let name = keys.row(&table, &key);
        assert_eq!(name, "{app:public.t*:x%3A%7Bé%7D%0A100%25}:-7");
        assert_eq!(keys.pattern(&table), "{app:public.t\\**");
        assert_eq!(keys.parse(&table, &name), Some(Name::Row));
        let partition = keys.partition(&table, key.partition());
        assert_eq!(keys.parse(&table, &partition), Some(Name::Partition("x%3A%7Bé%7D%0A100%25")));
        assert_eq!(unescape("x%3A%7Bé%7D%0A100%25").as_deref(), Some("x:{é}\n100%"));
        assert_eq!(row_name_end(&companion_member(key.sort())), Some(":-7"));
        assert_eq!(keys.parse(&table, &keys.table(&table)), Some(Name::Table));
        let lock = keys.lock(&table, &key);
        assert_eq!(lock, "{app:public.t*:x%3A%7Bé%7D%0A100%25}#lock:-7");
        assert_eq!(keys.parse(&table, &lock), Some(Name::Lock));
    }

    #[test]
    fn what_is_not_the_tables_is_left_alone() {
        let table = table("app", &[("a", text_type())], &["a"]);
        let keys = Keyspace::new("");
        for name in
            ["{app:sessions:1}", "{app.x}", "{app.x:1}", "{app:1", "{app:1}x", "{app}x", "app", ""]
        {
            assert_eq!(keys.parse(&table, name), None, "{name}");
        }
        for damaged in ["%", "%4", "%zz", "a%é", "%ff"] {
            assert_eq!(unescape(damaged), None, "{damaged}");
        }
        for damaged in [&b""[..], b"\0\0\0", b"\0\0\0\x01", b"\xff\xff\xff\xff", b"\xff\0\0\0\x01"]
        {
            assert_eq!(row_name_end(damaged), None, "{damaged:?}");
        }
    }
}
