//! From the name of a key to what has changed.

use flywheel_store::{ChangeListener, Changed, Layout, StoreTable};
use flywheel_types::{Key, text};

use crate::key::{Keyspace, Name, unescape};

/// The tables that are followed.
#[derive(Debug)]
pub(super) struct Names<'t> {
    pub(super) keys: &'t Keyspace,
    tables: &'t [&'t StoreTable],
}

impl<'t> Names<'t> {
    pub(super) const fn new(keys: &'t Keyspace, tables: &'t [&'t StoreTable]) -> Self {
        Self { keys, tables }
    }

    /// With one of these all names of the tables' keys begin; none of them begins with another.
    pub(super) fn prefixes(&self) -> Vec<String> {
        let mut prefixes: Vec<String> =
            self.tables.iter().flat_map(|table| self.keys.prefixes(table)).collect();
        prefixes.sort_unstable();
        // In this order a longer one follows what it begins with.
        prefixes.dedup_by(|longer, shorter| longer.starts_with(shorter.as_str()));
        prefixes
    }

    /// The key of this name has come, gone, or another value.
    pub(super) fn tell(&self, name: &str, listener: &dyn ChangeListener) {
        for (at, table) in self.tables.iter().enumerate() {
            if let Some(changed) = self.changed(table, name) {
                listener.changed(at, changed);
            }
        }
    }

    /// What has changed in the table; `None`: nothing that is read.
    fn changed(&self, table: &StoreTable, name: &str) -> Option<Changed> {
        let parsed = self.keys.parse(table, name)?;
        let is_set = matches!(table.layout, Layout::SortedSet { .. });
        let has_sort = table.table.primary_key.len() > 1;
        let of_table = self.keys.table(table);
        Some(match parsed {
            Name::Lock if !is_set && name.starts_with(&of_table) => Changed::Order,
            Name::Lock => return None,
            _ if is_set => Changed::Table,
            Name::Index => Changed::Order,
            Name::Partition(_) if has_sort => Changed::Order,
            Name::Partition(partition) => row(table, [partition].into_iter()),
            Name::Row if has_sort => self.row_of(table, name).unwrap_or(Changed::Table),
            Name::Table | Name::Row => Changed::Table,
        })
    }

    /// `{table:partition}:sort:sort`
    fn row_of(&self, table: &StoreTable, name: &str) -> Option<Changed> {
        let (partition, sort) =
            self.keys.row_end(table, name).strip_prefix(':')?.split_once("}:")?;
        Some(row(table, std::iter::once(partition).chain(sort.split(':'))))
    }
}

/// The row of a key whose values stand escaped in a name.
fn row<'n>(table: &StoreTable, mut escaped: impl Iterator<Item = &'n str>) -> Changed {
    let mut value = |column: &usize| {
        let text = unescape(escaped.next()?)?;
        text::decode_canonical(&table.table.columns[*column].ty, &text)
    };
    let values: Option<Vec<_>> = table.table.primary_key.iter().map(&mut value).collect();
    match values {
        Some(values) if escaped.next().is_none() => Changed::Row(Key::new(values)),
        _ => Changed::Table,
    }
}

#[cfg(test)]
mod tests {
    use flywheel_store::conformance::fixture::*;

    use super::*;

    #[test]
    fn names_of_keys_as_changes() {
        let keys = Keyspace::new("app:");
        let sessions =
            table("public.sessions", &[("token", text_type()), ("n", int8_type())], &["token"]);
        let visits = table(
            "public.visits",
            &[("who", text_type()), ("day", text_type()), ("n", int8_type())],
            &["who", "day", "n"],
        );
        let board = sorted_set(
            table("public.board", &[("member", text_type()), ("score", int8_type())], &["member"]),
            "score",
        );
        let tables = [&sessions, &visits, &board];
        let names = Names::new(&keys, &tables);
        let one = key(&[text("a:{b}%")]);
        let three = key(&[text("ann"), text(""), int(-7)]);
        for (table, name, changed) in [
            (&sessions, keys.row(&sessions, &one), Some(Changed::Row(one.clone()))),
            (&sessions, keys.index(&sessions, "lock", &int(1)), Some(Changed::Order)),
            (&sessions, keys.index(&sessions, "by_n", &int(1)), Some(Changed::Order)),
            (&sessions, keys.lock(&sessions, &one), None),
            (&sessions, keys.table(&sessions), Some(Changed::Table)),
            (&sessions, "{app:public.sessions:a}:b".into(), Some(Changed::Table)),
            (&sessions, "{app:public.sessions:%zz}".into(), Some(Changed::Table)),
            (&sessions, "{app:public.sessions2:a}".into(), None),
            (&visits, keys.row(&visits, &three), Some(Changed::Row(three.clone()))),
            (&visits, keys.partition(&visits, three.partition()), Some(Changed::Order)),
            (&visits, keys.lock(&visits, &three), None),
            (&visits, "{app:public.visits:ann}:x".into(), Some(Changed::Table)),
            (&visits, "{app:public.visits:ann}:x:1:2".into(), Some(Changed::Table)),
            (&visits, "{app:public.visits:ann}:x:one".into(), Some(Changed::Table)),
            (&board, keys.table(&board), Some(Changed::Table)),
            (&board, keys.lock(&board, &one), None),
        ] {
            assert_eq!(names.changed(table, &name), changed, "{name}");
        }
    }

    #[test]
    fn no_prefix_begins_with_another() {
        let keys = Keyspace::new("");
        let of = |name| table(name, &[("a", text_type())], &["a"]);
        let (short, long, other) = (of("app"), of("app:x"), of("apple"));
        let tables = [&long, &other, &short];
        let names = Names::new(&keys, &tables);
        assert_eq!(names.prefixes(), ["{app:", "{apple:", "{apple}", "{app}"]);
    }
}
