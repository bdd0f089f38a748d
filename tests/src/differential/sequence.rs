//! Sequences of statements.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::place::{Place, Shape};
use super::table::Table;
use super::write;
use super::writer::Writer;
use super::{select, select::Query};
use crate::suite::{Mode, Statement};

/// A statement with the way in which it is asked.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// The statement; its line is its number in the sequence.
    pub(super) statement: Statement,
    /// The protocol.
    pub(super) mode: Mode,
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
    let mut maker = Maker { random, tables, steps: Vec::new(), block: Block::Closed };
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
        definitions: maker.tables.iter().map(Table::definition).collect(),
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
    },
}

#[derive(Debug)]
struct Maker {
    random: StdRng,
    tables: Vec<Table>,
    steps: Vec<Step>,
    block: Block,
}

impl Maker {
    fn next(&mut self) {
        let mut writer = Writer::new(&mut self.random);
        match self.block {
            Block::Closed if writer.chance(12) => {
                let left = writer.number(1, 8);
                self.block = Block::Open { left, has_cursor: false };
                self.control("BEGIN");
            }
            Block::Open { left: 0, .. } => {
                let end = writer.pick(&["COMMIT", "COMMIT", "ROLLBACK"]);
                self.block = Block::Closed;
                self.control(end);
            }
            Block::Open { left, has_cursor } => {
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
                self.block = Block::Open { left: left - 1, has_cursor: has_cursor || opens };
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
                } else if control.is_empty() {
                    self.statement(true);
                } else {
                    self.control(control);
                }
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
            let again = self.steps[at].statement.clone();
            if again.sql.starts_with("SELECT") || (!is_in_block && again.sql.starts_with("INSERT"))
            {
                self.push(again);
                return;
            }
        }
        if Writer::new(&mut self.random).chance(4) {
            self.prepared(&tables);
            return;
        }
        self.text(|writer| {
            if writer.chance(55) {
                return select::any(writer, &tables);
            }
            // A block may write to one store beside PostgreSQL.
            let writable: Vec<_> =
                tables.iter().filter(|table| !is_in_block || table.name != ELSEWHERE).collect();
            write::any(writer, &tables, &writable)
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

    fn push(&mut self, mut statement: Statement) {
        let mode =
            *Writer::new(&mut self.random).pick(&[&Mode::Simple, &Mode::Text, &Mode::Binary]);
        statement.line = self.steps.len();
        self.steps.push(Step { statement, mode });
    }
}
