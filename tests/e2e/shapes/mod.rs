//! Texts that differ in their constants and comments have one plan. Constants of every class, in
//! the place of values of every type: the answers are PostgreSQL's, and its errors point to where
//! the mistake is in each text.

mod parsed;

use flywheel_tests::raw::{Client, Event};
use flywheel_tests::{Home, Setup, World};

/// Types of the key and of another column.
const TYPES: [(&str, &str); 12] = [
    ("smallint", "smallint"),
    ("int", "int"),
    ("bigint", "bigint"),
    ("numeric(10,2)", "numeric(6,1)"),
    ("int", "numeric"),
    ("text", "real"),
    ("varchar(4)", "double precision"),
    ("text", "varchar(3)"),
    ("uuid", "uuid"),
    ("date", "boolean"),
    ("timestamptz", "date"),
    ("bigint", "bytea"),
];

/// Of [`TYPES`], an integer key.
const INTEGERS: usize = 1;

const LITERALS: [&str; 50] = [
    "0",
    "1",
    "2",
    "-1",
    "- 1",
    "+1",
    "00012",
    "32767",
    "32768",
    "-32769",
    "2147483647",
    "2147483648",
    "-2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "1.0",
    "1.5",
    "-0.0",
    "2.005",
    "1e2",
    "1E-2",
    "1.",
    ".5",
    "1e400",
    "NULL",
    "TRUE",
    "false",
    "' '",
    "'1'",
    "' 1 '",
    "'-1'",
    "'1.5'",
    "'abc'",
    "'it''s'",
    "'abcdef'",
    "E'a\\n'",
    "U&'\\0061'",
    "$$1$$",
    "B'1'",
    "X'1F'",
    "'\\x01'",
    "'1'::text",
    "'2026-01-01'",
    "'2026-01-01 00:00:00+00'",
    "date '2026-01-01'",
    "'now'",
    "'t'",
    "'00000000-0000-0000-0000-000000000001'",
    "'NaN'",
    "(1)",
];

const SHAPES: [&str; 15] = [
    "SELECT k, v, n FROM @ WHERE k = #",
    "SELECT v FROM @ WHERE k = # AND n >= # LIMIT 3",
    "SELECT n FROM @ WHERE k IN (#, #)",
    "SELECT n FROM @ WHERE k = ANY (ARRAY[#, #, '2'])",
    "SELECT n FROM @ WHERE # = k",
    "SELECT count(*), min(n) FROM @ WHERE v = #",
    "SELECT n FROM @ WHERE k = # AND v <> #",
    "SELECT n + 1 FROM @ WHERE n < # ORDER BY n OFFSET # LIMIT #",
    "INSERT INTO @ VALUES (#, #, 1) ON CONFLICT DO NOTHING",
    "INSERT INTO @ (k, v, n) VALUES (#, #, 2), (#, #, #) RETURNING n",
    "INSERT INTO @ (v, k, n) VALUES (#, #, 3) ON CONFLICT (k) DO UPDATE SET v = #, n = @.n + 1",
    "UPDATE @ SET v = # WHERE k = # RETURNING k, v",
    "UPDATE @ SET n = n + # WHERE k = #",
    "UPDATE @ SET n = #, v = # WHERE k = #",
    "DELETE FROM @ WHERE k = #",
];

/// Choices that are the same at each run.
struct Choices(u64);

impl Choices {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("a number") % most
    }

    fn of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.below(all.len())]
    }

    /// A comment, or none.
    fn comment(&mut self) -> String {
        let number = self.below(1000);
        match self.below(6) {
            0 => format!(" /* trace {number} */ "),
            1 => format!(" -- trace {number}\n"),
            _ => " ".to_owned(),
        }
    }

    fn statement(&mut self, shape: &str, table: &str) -> String {
        let mut text = String::new();
        for (place, word) in shape.split(' ').enumerate() {
            if place > 0 {
                text.push_str(&self.comment());
            }
            let mut rest = word;
            while let Some(at) = rest.find('#') {
                text.push_str(&rest[..at]);
                // Values that fit are few.
                let literal = if self.below(3) == 0 {
                    self.of(&["1", "'1'", "2"])
                } else {
                    self.of(&LITERALS)
                };
                text.push_str(literal);
                rest = &rest[at + 1..];
            }
            text.push_str(rest);
        }
        text.replace('@', table)
    }
}

async fn said(client: &mut Client, sql: &str) -> Vec<String> {
    let mut said = client.query(sql).await.expect("an answer");
    // PostgreSQL may have told the columns before it finds the mistake.
    if said.iter().any(|event| matches!(event, Event::Error(_))) {
        said.retain(|event| matches!(event, Event::Error(_) | Event::Ready(_)));
    }
    let mut shown: Vec<String> = said
        .iter()
        .map(|event| match event {
            Event::Columns(fields) => {
                let types: Vec<_> =
                    fields.iter().map(|field| (&field.name, field.type_oid)).collect();
                format!("{types:?}")
            }
            Event::Error(report) => {
                let field = |code| report.field(code).unwrap_or_default().to_owned();
                format!("{} {} at {:?}", field('C'), field('M'), report.field('P'))
            }
            event => format!("{event:?}"),
        })
        .collect();
    // Rows in any order.
    shown.sort();
    shown
}

async fn world(home: Home) -> Option<World> {
    let setup = (0..TYPES.len())
        .fold(Setup::default(), |setup, number| setup.table(&format!("public.of_{number}"), home));
    let world = setup.start().await?;
    for client in [world.gateway().await, world.oracle().await] {
        for (number, (key, value)) in TYPES.iter().enumerate() {
            let table = format!("CREATE TABLE of_{number} (k {key} PRIMARY KEY, v {value}, n int)");
            client.batch_execute(&table).await.expect(&table);
        }
    }
    Some(world)
}

async fn are_postgresqls(home: Home) {
    let Some(world) = world(home).await else { return };
    let (mut ours, mut theirs) = (world.raw().await, world.raw_oracle().await);
    let mut choices = Choices(2026);
    let mut in_block = 0;
    for round in 0..ROUNDS {
        for (number, types) in TYPES.iter().enumerate() {
            for shape in SHAPES {
                let sql = match (in_block, choices.below(40)) {
                    (0, 0) => {
                        in_block = 5;
                        "BEGIN".to_owned()
                    }
                    (1, _) => {
                        in_block = 0;
                        choices.of(&["COMMIT", "ROLLBACK"]).to_owned()
                    }
                    _ => {
                        in_block = usize::saturating_sub(in_block, 1);
                        choices.statement(shape, &format!("of_{number}"))
                    }
                };
                let (ours, theirs) = (said(&mut ours, &sql).await, said(&mut theirs, &sql).await);
                assert_eq!(ours, theirs, "{} {:?}, round {round}: {sql}", home.name(), types);
            }
        }
    }
}

const ROUNDS: usize = 4;

#[tokio::test]
async fn answers_from_memory_are_postgresqls() {
    are_postgresqls(Home::Memory).await;
}

#[tokio::test]
async fn answers_from_redis_are_postgresqls() {
    are_postgresqls(Home::Redis).await;
}

#[tokio::test]
async fn answers_from_dynamodb_are_postgresqls() {
    are_postgresqls(Home::Dynoxide).await;
}

/// Asks both until a connection would keep the statement and plan it without its values.
async fn each_is_postgresqls(home: Home, number: usize, texts: &[&str]) {
    let Some(world) = world(home).await else { return };
    let (mut ours, mut theirs) = (world.raw().await, world.raw_oracle().await);
    let table = format!("of_{number}");
    for (text, constants) in texts.iter().flat_map(|text| (2..12).map(move |each| (text, each))) {
        let text = text.replace('@', &table).replace('#', &constants.to_string());
        let (ours, theirs) = (said(&mut ours, &text).await, said(&mut theirs, &text).await);
        assert_eq!(ours, theirs, "{} {text}", home.name());
    }
}

#[tokio::test]
async fn what_is_computed_in_advance_leaves_the_same_out() {
    let texts = [
        "INSERT INTO @ VALUES (#, #, #)",
        "CREATE VIEW v_# AS SELECT k, 1 AS one, 0 AS zero FROM @",
        "SELECT CASE WHEN (1::int = #) THEN 1/0 ELSE n END FROM @",
        "SELECT CASE WHEN ('a'::text = '#') THEN 1/0 ELSE n END FROM @",
        "SELECT CASE WHEN (interval '1' day = '#') THEN 1/0 ELSE n END FROM @",
        "SELECT CASE WHEN (one = #) THEN 1/0 ELSE k END FROM v_2",
        "SELECT CASE WHEN (one = #) THEN one / zero ELSE k END FROM v_2",
        "SELECT CASE WHEN (one = #) THEN 1/0 ELSE n END FROM (SELECT n, 1 AS one FROM @) q",
        "SELECT CASE WHEN (one = #) THEN 1/0 ELSE n END FROM @, int4(1) AS one",
        "WITH q(one) AS (VALUES (1)) SELECT CASE WHEN (one = #) THEN 1/0 ELSE 2 END FROM q \
         WHERE EXISTS (TABLE @)",
        "SELECT CASE WHEN (k = #) THEN n ELSE 0 END FROM @",
    ];
    each_is_postgresqls(Home::Memory, INTEGERS, &texts).await;
}

#[tokio::test]
async fn a_list_is_of_one_type() {
    let texts = [
        "INSERT INTO @ VALUES (#, #, #)",
        "SELECT n FROM @ WHERE k IN (1.5, '#.0')",
        "SELECT n FROM @ WHERE k IN (#.0, '2.0')",
        "SELECT n FROM @ WHERE k IN (1.5::numeric, '#.0')",
        "SELECT n FROM @ WHERE k IN ('99999999999', 9999999999#)",
        "SELECT n FROM @ WHERE k = ANY (ARRAY[1.5, '#.0'])",
        "SELECT n FROM @ WHERE k IN (1, '#')",
        "SELECT n FROM @ WHERE k IN (1, '#.0')",
        "SELECT n FROM @ WHERE k IN (NULL, '#')",
        "SELECT n FROM @ WHERE k = 2 OR k IN (3.5, '#.0')",
        "DELETE FROM @ WHERE k IN (1.5, '#.0') RETURNING n",
    ];
    each_is_postgresqls(Home::Memory, INTEGERS, &texts).await;
}
