//! Changes of definitions between other statements.

use super::table::Table;
use super::writer::Writer;

/// ALTER TABLE, and changes of the types that columns have.
pub(super) fn any(writer: &mut Writer<'_>, tables: &[Table]) -> String {
    let table = writer.pick(&tables.iter().collect::<Vec<_>>());
    let name = table.name;
    let column = &writer.pick(&table.rest().iter().collect::<Vec<_>>()).name;
    match writer.number(0, 19) {
        0..3 => format!("ALTER TABLE {name} ADD COLUMN IF NOT EXISTS z int DEFAULT 7"),
        3 => format!("ALTER TABLE {name} ADD COLUMN y text"),
        4..6 => format!("ALTER TABLE {name} DROP COLUMN {column}"),
        6..8 => format!("ALTER TABLE {name} ALTER n TYPE bigint"),
        8 => format!("ALTER TABLE {name} ALTER n TYPE text"),
        9 => format!("ALTER TABLE {name} ALTER {column} DROP NOT NULL"),
        10 => format!("ALTER TABLE {name} ALTER {column} SET NOT NULL"),
        11 => format!("ALTER TABLE {name} RENAME {column} TO other"),
        12 => format!("ALTER TABLE {name} ADD CHECK (n > -5)"),
        13 => format!("ALTER TABLE {name} ALTER n SET DEFAULT 11"),
        14 => "ALTER TYPE mood RENAME VALUE 'red' TO 'crimson'".to_owned(),
        15 => "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'violet' BEFORE 'green'".to_owned(),
        16 => "ALTER DOMAIN small ADD CONSTRAINT few CHECK (VALUE < 50)".to_owned(),
        17 => "ALTER DOMAIN small SET NOT NULL".to_owned(),
        18 => format!("DROP TABLE {name}"),
        _ => format!("TRUNCATE {name}"),
    }
}
