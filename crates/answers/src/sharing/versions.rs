//! The versions by which answers that gateways share are known to be some still.
//!
//! They stand where the answers do and move with the post that tells of a write, at the same
//! moment: so an answer can be judged without having read all posts.

use flywheel_cache::{Part, TableId, Touch};
use flywheel_store::VersionName;

use super::word::{Said, Word};

/// How many versions a table's rows share.
const ROW_VERSIONS: u64 = 1024;

/// Moved by what may have written to any table.
const ALL: &str = "all";
/// Moved by definitions, and by FLUSH CACHE of everything.
const DEFINITIONS: &str = "definitions";
/// Moved by every write to a table.
const ANY: &str = "any";
/// Moved by writes whose rows aren't known.
const UNKNOWN: &str = "unknown";
/// Moved by FLUSH CACHE of the table.
const FLUSHED: &str = "flushed";

fn of_database(database: &str, field: &str) -> VersionName {
    VersionName { group: database.to_owned(), field: field.to_owned() }
}

fn of_table(database: &str, table: TableId, field: impl Into<String>) -> VersionName {
    VersionName { group: format!("{database}:{table}"), field: field.into() }
}

fn row_field(row: u64) -> String {
    format!("row{}", row % ROW_VERSIONS)
}

/// What an answer depends on that is made from these parts of tables, where writes end it, or
/// nothing but definitions does.
pub(super) fn read(
    database: &str,
    parts: impl Iterator<Item = (TableId, Part)>,
    by_writes: bool,
) -> Vec<VersionName> {
    let mut names = vec![of_database(database, if by_writes { ALL } else { DEFINITIONS })];
    for (table, part) in parts {
        match part {
            _ if !by_writes => names.push(of_table(database, table, FLUSHED)),
            Part::Whole => names.push(of_table(database, table, ANY)),
            Part::Row(row) => {
                names.push(of_table(database, table, UNKNOWN));
                names.push(of_table(database, table, row_field(row)));
            }
        }
    }
    names
}

/// What moves with this word.
pub(super) fn moved(word: &Word) -> Vec<VersionName> {
    let mut names = Vec::new();
    for (database, said) in &word.databases {
        let Said { written, flushed, defines } = said;
        if *defines || matches!(written, Touch::All) || matches!(flushed, Touch::All) {
            names.push(of_database(database, ALL));
        }
        if *defines || matches!(flushed, Touch::All) {
            names.push(of_database(database, DEFINITIONS));
        }
        for (touch, is_flushed) in [(written, false), (flushed, true)] {
            let Touch::Tables(parts) = touch else { continue };
            for (table, part) in parts {
                names.push(of_table(database, *table, ANY));
                match part {
                    Part::Whole => names.push(of_table(database, *table, UNKNOWN)),
                    Part::Row(row) => names.push(of_table(database, *table, row_field(*row))),
                }
                if is_flushed {
                    names.push(of_table(database, *table, FLUSHED));
                }
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(said: Said, parts: &[(TableId, Part)], by_writes: bool) -> bool {
        let mut word = Word::default();
        word.add("app", &said);
        let moved = moved(&word);
        read("app", parts.iter().copied(), by_writes).iter().any(|name| moved.contains(name))
    }

    fn written(written: Touch) -> Said {
        Said { written, ..Said::default() }
    }

    #[test]
    fn a_write_moves_what_answers_of_it_depend_on() {
        let row = |row| Touch::Tables(vec![(1, Part::Row(row))]);
        let whole = Touch::Tables(vec![(1, Part::Whole)]);
        let (of_row, of_table) = ([(1, Part::Row(5))], [(1, Part::Whole)]);
        assert!(ends(written(row(5)), &of_row, true));
        assert!(!ends(written(row(6)), &of_row, true));
        assert!(ends(written(row(6)), &of_table, true));
        assert!(ends(written(whole.clone()), &of_row, true));
        assert!(!ends(written(Touch::Tables(vec![(2, Part::Whole)])), &of_table, true));
        assert!(ends(written(Touch::All), &of_row, true) && ends(written(Touch::All), &[], true));
        // Where writes don't matter, definitions and FLUSH CACHE do.
        assert!(
            !ends(written(whole.clone()), &of_row, false)
                && !ends(written(Touch::All), &of_row, false)
        );
        let flushed = |flushed| Said { flushed, ..Said::default() };
        for by_writes in [true, false] {
            assert!(ends(flushed(whole.clone()), &of_row, by_writes));
            assert!(ends(flushed(Touch::All), &of_row, by_writes));
            assert!(!ends(flushed(Touch::Tables(vec![(2, Part::Whole)])), &of_row, by_writes));
            let defined = Said { defines: true, ..Said::default() };
            assert!(ends(defined, &[], by_writes));
        }
    }
}
