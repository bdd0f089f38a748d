//! Sequences of statements.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::kind::OWN;
use super::named::{self, Named};
use super::place::{Place, Shape};
use super::table::Table;
use super::way::Way;
use super::writer::Writer;
use super::{defining, reaching, select, select::Query, write};
use crate::suite::{Mode, Statement};

/// A statement with the way in which it is asked.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// The statement; its line is its number in the sequence.
    pub(super) statement: Statement,
    /// The protocol.
    pub(super) way: Way,
    /// Flywheel may refuse it where PostgreSQL doesn't.
    pub(super) may_be_refused: bool,
}

/// Tables and what is asked of them: always the same for a seed and a place.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    /// Makes the tables.
    pub(super) definitions: Vec<String>,
    /// One after the other, in one session.
    pub(super) steps: Vec<Step>,
    /// The names of the tables.
    pub(super) tables: Vec<&'static str>,
}

/// The tables of the place under test; one in another store; two in PostgreSQL.
pub(super) const UNDER_TEST: [&str; 2] = ["a", "b"];
pub(super) const ELSEWHERE: &str = "o";
const RELATIONAL: [&str; 2] = ["r", "s"];

/// A sequence of so many statements.
pub(super) fn sequence(seed: u64, place: &Place, length: usize) -> Sequence {
    let mut random = StdRng::seed_from_u64(seed);
    let mut writer = Writer::new(&mut random);
    let mut tables: Vec<Table> = Vec::new();
    for name in UNDER_TEST {
        tables.push(match place.shape {
            Shape::Any => Table::any(&mut writer, name, place.has_full_keys),
            Shape::Leaderboard => Table::leaderboard(&mut writer, name),
        });
    }
    for name in [&[ELSEWHERE][..], &RELATIONAL].concat() {
        // What may be in DynamoDB has keys that it takes.
        tables.push(Table::any(&mut writer, name, true));
    }
    let mut maker = Maker {
        random,
        tables,
        steps: Vec::new(),
        named: Vec::new(),
        block: Block::Closed,
        length,
    };
    for at in 0..maker.tables.len() {
        for _ in 0..2 {
            let table = maker.tables[at].clone();
            maker.text(|writer| Query { text: write::fill(writer, &table), is_ordered: false });
        }
    }
    while maker.steps.len() < length {
        maker.next();
    }
    Sequence {
        definitions: OWN
            .iter()
            .map(|sql| (*sql).to_owned())
            .chain(maker.tables.iter().map(Table::definition))
            .chain(maker.tables.iter().flat_map(reaching::functions))
            .collect(),
        tables: maker.tables.iter().map(|table| table.name).collect(),
        steps: maker.steps,
    }
}

/// Where the transaction stands, as far as what was asked tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Closed,
    /// So many more statements, and whether a cursor is open.
    Open {
        left: usize,
        has_cursor: bool,
        /// Definitions change in it: it is rolled back.
        defines: bool,
    },
}

#[derive(Debug)]
struct Maker {
    random: StdRng,
    tables: Vec<Table>,
    steps: Vec<Step>,
    named: Vec<Named>,
    block: Block,
    length: usize,
}

impl Maker {
    fn next(&mut self) {
        let mut writer = Writer::new(&mut self.random);
        match self.block {
            Block::Closed if writer.chance(12) => {
                let left = writer.number(1, 8);
                let defines = writer.chance(25);
                self.block = Block::Open { left, has_cursor: false, defines };
                self.control("BEGIN");
            }
            Block::Open { left: 0, defines, .. } => {
                let ends = ["COMMIT", "COMMIT", "ROLLBACK"];
                let end = if defines { "ROLLBACK" } else { writer.pick(&ends) };
                self.block = Block::Closed;
                self.control(end);
            }
            Block::Open { left, has_cursor, defines } => {
                let kind = writer.number(0, 19);
                let control = match kind {
                    0 => "SAVEPOINT p",
                    1 => "ROLLBACK TO p",
                    2 => "RELEASE p",
                    3 if has_cursor => writer.pick(&[
                        "FETCH c",
                        "FETCH 2 FROM c",
                        "FETCH ALL FROM c",
                        "MOVE c",
                        "CLOSE c",
                    ]),
                    _ => "",
                };
                let opens = kind == 4 && !has_cursor;
                let has_cursor = has_cursor || opens;
                let changes = defines && kind > 14;
                self.block = Block::Open { left: left - 1, has_cursor, defines };
                if opens {
                    let tables = self.tables.clone();
                    self.text(|writer| {
                        writer.takes_parameters = false;
                        let query = select::ordered(writer, &tables);
                        Query {
                            text: format!("DECLARE c CURSOR FOR {}", query.text),
                            is_ordered: true,
                        }
                    });
                } else if changes {
                    self.definition();
                } else if control.is_empty() {
                    self.statement(true);
                } else {
                    self.control(control);
                }
            }
            // What changes for good does so near the end: later statements often fail for it.
            Block::Closed if self.steps.len() * 4 > self.length * 3 && writer.chance(6) => {
                self.definition();
            }
            Block::Closed => self.statement(false),
        }
    }

    fn statement(&mut self, is_in_block: bool) {
        let tables = self.tables.clone();
        let known = self.steps.len();
        if known > 20 && Writer::new(&mut self.random).chance(10) {
            // Once more, perhaps in another protocol: its plan is known.
            let mut writer = Writer::new(&mut self.random);
            let at = writer.number(known - 15, known - 1);
            let Step { statement: again, may_be_refused, .. } = self.steps[at].clone();
            if again.sql.starts_with("SELECT") || (!is_in_block && again.sql.starts_with("INSERT"))
            {
                self.push(again);
                if may_be_refused {
                    self.mark_refusable();
                }
                return;
            }
        }
        match Writer::new(&mut self.random).number(0, 99) {
            0..4 => return self.prepared(&tables),
            4..8 => return self.name(&tables, is_in_block),
            8..14 => return self.use_name(),
            14..18 => {
                self.text(|writer| reaching::by_system_columns(writer, &tables));
                return self.mark_refusable();
            }
            18..22 => {
                self.text(|writer| reaching::by_code(writer, &tables));
                return self.mark_refusable();
            }
            22..26 => {
                return self.text(|writer| {
                    let writable = writable(&tables, is_in_block);
                    reaching::by_schema(writer, &tables, &writable)
                });
            }
            _ => {}
        }
        self.text(|writer| {
            if writer.chance(55) {
                return select::any(writer, &tables);
            }
            write::any(writer, &tables, &writable(&tables, is_in_block))
        });
    }

    /// A query that SQL's PREPARE makes, executed at once and once more, each in any protocol.
    fn prepared(&mut self, tables: &[Table]) {
        let name = format!("p{}", self.steps.len());
        let mut is_ordered = false;
        self.text(|writer| {
            writer.takes_parameters = false;
            let query = select::any(writer, tables);
            is_ordered = query.is_ordered;
            Query { text: format!("PREPARE {name} AS {}", query.text), is_ordered: true }
        });
        for _ in 0..2 {
            self.text(|_| Query { text: format!("EXECUTE {name}"), is_ordered });
        }
    }

    /// A statement that is given a name, by either way.
    fn name(&mut self, tables: &[Table], is_in_block: bool) {
        let name = format!("q{}", self.steps.len());
        let mut writer = Writer::new(&mut self.random);
        let query = if writer.chance(60) {
            select::any(&mut writer, tables)
        } else {
            write::any(&mut writer, tables, &writable(tables, is_in_block))
        };
        let mut statement = Statement::new(query.text);
        statement.sorted = !query.is_ordered;
        statement.parameters = writer.parameters;
        let named = Named { name, statement };
        if Writer::new(&mut self.random).chance(50) {
            self.push(Statement::new(named.prepare()));
        } else {
            let way = Way::Parsed(named.name.clone());
            self.push_by(named.statement.clone(), way);
        }
        self.named.push(named);
    }

    /// A name that was given, used by either way.
    fn use_name(&mut self) {
        let mut writer = Writer::new(&mut self.random);
        let Some(most) = self.named.len().checked_sub(1) else { return };
        // The last ones mostly.
        let named = &self.named[writer.number(most.saturating_sub(3), most)];
        match writer.number(0, 9) {
            0..5 => {
                let mode = *writer.pick(&[&Mode::Text, &Mode::Binary]);
                let way = Way::Bound(named.name.clone(), mode);
                let statement = named.statement.clone();
                self.push_by(statement, way);
            }
            5..9 => {
                let mut statement = Statement::new(named.execute());
                statement.sorted = named.statement.sorted;
                self.push(statement);
            }
            _ => {
                let text = named::beside(&mut writer, named);
                self.push(Statement::new(text));
            }
        }
    }

    fn definition(&mut self) {
        let tables = self.tables.clone();
        self.text(|writer| Query { text: defining::any(writer, &tables), is_ordered: true });
        self.mark_refusable();
    }

    fn mark_refusable(&mut self) {
        if let Some(last) = self.steps.last_mut() {
            last.may_be_refused = true;
        }
    }

    fn text(&mut self, make: impl FnOnce(&mut Writer<'_>) -> Query) {
        let mut writer = Writer::new(&mut self.random);
        let query = make(&mut writer);
        let mut statement = Statement::new(query.text);
        statement.sorted = !query.is_ordered;
        statement.parameters = writer.parameters;
        self.push(statement);
    }

    fn control(&mut self, sql: &str) {
        self.push(Statement::new(sql.to_owned()));
    }

    fn push(&mut self, statement: Statement) {
        let mode =
            *Writer::new(&mut self.random).pick(&[&Mode::Simple, &Mode::Text, &Mode::Binary]);
        self.push_by(statement, Way::Asked(mode));
    }

    fn push_by(&mut self, mut statement: Statement, way: Way) {
        statement.line = self.steps.len();
        self.steps.push(Step { statement, way, may_be_refused: false });
    }
}

/// A block may write to one store beside PostgreSQL.
fn writable(tables: &[Table], is_in_block: bool) -> Vec<&Table> {
    tables.iter().filter(|table| !is_in_block || table.name != ELSEWHERE).collect()
}
