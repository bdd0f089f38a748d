//! Cuts a simple Query's text into its statements.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use crate::expression::FUNCTIONS;
use crate::lex::{Token, TokenKind, lex};
use crate::{SessionEffect, Verb};

/// One statement of a text, known by its words only.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Where it stands in the text, without the semicolon.
    pub range: Range<usize>,
    /// Its tokens, with positions in the whole text.
    pub tokens: Vec<Token>,
    /// What it does.
    pub verb: Verb,
    /// What outlives it.
    pub session: SessionEffect,
}

impl Statement {
    /// Whether one of its words (quoted or not) is accepted: the test whether it may name a certain
    /// table.
    #[must_use]
    pub fn has_word(&self, text: &str, mut accept: impl FnMut(&str) -> bool) -> bool {
        self.tokens
            .iter()
            .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord))
            .any(|token| accept(&token.identifier(text)))
    }

    /// Whether one of its words is this keyword (in lower case).
    #[must_use]
    pub fn has_keyword(&self, text: &str, keyword: &str) -> bool {
        self.tokens.iter().any(|token| token.is_keyword(text, keyword))
    }

    /// Whether it is COMMIT or ROLLBACK … AND CHAIN: the next block begins at once.
    #[must_use]
    pub fn chains(&self, text: &str) -> bool {
        self.has_keyword(text, "chain") && !self.has_keyword(text, "no")
    }

    /// What PostgreSQL calls the command, where it is one that needs a transaction block: the
    /// transaction that statements of one text, or of one batch, are by themselves isn't enough.
    #[must_use]
    pub fn needs_block(&self, text: &str) -> Option<&'static str> {
        match self.verb {
            Verb::Commit if self.chains(text) => Some("COMMIT AND CHAIN"),
            Verb::Rollback if self.chains(text) => Some("ROLLBACK AND CHAIN"),
            Verb::Savepoint => Some("SAVEPOINT"),
            Verb::RollbackTo => Some("ROLLBACK TO SAVEPOINT"),
            Verb::Release => Some("RELEASE SAVEPOINT"),
            _ => None,
        }
    }

    /// A number that texts share which differ in their constants only.
    #[must_use]
    pub fn shape(&self, text: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        for token in &self.tokens {
            match token.kind {
                TokenKind::String | TokenKind::Number => 0_u8.hash(&mut hasher),
                _ => text[token.range.clone()].hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    /// Whether it may be sent again without anybody noticing: a query that locks nothing, makes
    /// nothing, and calls only functions that are known to act on nothing.
    #[must_use]
    pub fn is_repeatable(&self, text: &str) -> bool {
        const DENIED: &[&str] = &["insert", "update", "delete", "merge", "into", "for", "copy"];
        matches!(self.verb, Verb::Select | Verb::With)
            && self.session == SessionEffect::None
            && !self
                .tokens
                .iter()
                .any(|token| DENIED.iter().any(|word| token.is_keyword(text, word)))
            && self.tokens.windows(2).all(|pair| {
                let is_call =
                    pair[1].kind == TokenKind::Open && text[pair[1].range.clone()] == *"(";
                match pair[0].kind {
                    TokenKind::Word if is_call => {
                        let mut words = PURE.iter().chain(FUNCTIONS);
                        words.any(|word| pair[0].is_keyword(text, word))
                    }
                    TokenKind::QuotedWord => !is_call,
                    _ => true,
                }
            })
    }

    /// Whether a replica may answer it, as far as its words tell: a query that locks, writes or
    /// makes nothing.
    #[must_use]
    pub fn is_read(&self, text: &str) -> bool {
        const WRITES: &[&str] = &[
            "insert",
            "update",
            "delete",
            "merge",
            "into",
            "nextval",
            "setval",
            "share",
            "pg_notify",
        ];
        matches!(self.verb, Verb::Select | Verb::With)
            && self.session == SessionEffect::None
            && !self
                .tokens
                .iter()
                .any(|token| WRITES.iter().any(|word| token.is_keyword(text, word)))
    }
}

/// Words that may stand before a parenthesis in a repeatable query, beside [`FUNCTIONS`]: keywords,
/// types, and functions of pg_catalog over several rows.
const PURE: &[&str] = &[
    "select",
    "from",
    "where",
    "and",
    "or",
    "not",
    "in",
    "any",
    "some",
    "all",
    "exists",
    "values",
    "as",
    "on",
    "using",
    "by",
    "over",
    "filter",
    "then",
    "else",
    "when",
    "case",
    "like",
    "ilike",
    "between",
    "union",
    "intersect",
    "except",
    "limit",
    "offset",
    "lateral",
    "array",
    "row",
    "cast",
    "numeric",
    "decimal",
    "varchar",
    "char",
    "character",
    "varying",
    "bit",
    "timestamp",
    "timestamptz",
    "time",
    "interval",
    "float",
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "position",
    "extract",
    "row_number",
    "rank",
    "dense_rank",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "ntile",
    "array_agg",
    "string_agg",
    "json_agg",
    "jsonb_agg",
    "bool_and",
    "bool_or",
    "row_to_json",
    "json_object_agg",
    "jsonb_object_agg",
    "unnest",
    "generate_series",
    "array_length",
    "cardinality",
    "array_position",
    "jsonb_array_elements",
    "json_array_elements",
    "string_to_array",
    "array_to_string",
];

/// The statements of `text`, empty ones left out.
#[must_use]
pub fn split(text: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut current: Vec<Token> = Vec::new();
    let mut depth = 0usize;
    let mut atomic = 0usize;
    for token in lex(text) {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            TokenKind::Semicolon if depth == 0 && atomic == 0 => {
                finish(text, std::mem::take(&mut current), &mut statements);
                continue;
            }
            // CREATE FUNCTION … BEGIN ATOMIC …; …; END: its semicolons are its own, and CASE … END
            // nests in it.
            TokenKind::Word
                if token.is_keyword(text, "atomic")
                    && current.last().is_some_and(|last| last.is_keyword(text, "begin")) =>
            {
                atomic += 1
            }
            TokenKind::Word if atomic > 0 && token.is_keyword(text, "case") => atomic += 1,
            TokenKind::Word if atomic > 0 && token.is_keyword(text, "end") => atomic -= 1,
            _ => {}
        }
        current.push(token);
    }
    finish(text, current, &mut statements);
    statements
}

fn finish(text: &str, tokens: Vec<Token>, statements: &mut Vec<Statement>) {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return;
    };
    let verb = Verb::of(text, &tokens);
    let session = SessionEffect::of(text, verb, &tokens);
    statements.push(Statement { range: first.range.start..last.range.end, verb, session, tokens });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pin, Traces};

    fn verbs(text: &str) -> Vec<Verb> {
        split(text).iter().map(|statement| statement.verb).collect()
    }

    #[test]
    fn splits_at_semicolons_that_end_statements() {
        assert_eq!(
            verbs("BEGIN; SELECT ';'; COMMIT;; -- nothing"),
            [Verb::Begin, Verb::Select, Verb::Commit]
        );
        assert_eq!(
            verbs(
                "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3"
            ),
            [Verb::OtherDefinition, Verb::Select]
        );
        assert_eq!(
            verbs("CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)"),
            [Verb::OtherDefinition]
        );
        assert_eq!(verbs("(SELECT 1) UNION SELECT 2"), [Verb::Select]);
        assert!(verbs(" /* only */ ").is_empty());
    }

    #[test]
    fn what_may_be_sent_again() {
        let repeatable = |text: &str| split(text)[0].is_repeatable(text);
        for text in [
            "SELECT abalance FROM pgbench_accounts WHERE aid = 1",
            "select count(*), max(a) from t where b in (1, 2) and c = any ($1)",
            "WITH a AS (SELECT 1) SELECT * FROM a JOIN LATERAL (SELECT 2) b ON (true)",
            "SELECT a::numeric(10, 2)[1] FROM t",
        ] {
            assert!(repeatable(text), "{text}");
        }
        for text in [
            "SELECT nextval('s')",
            "SELECT my_function(1)",
            "SELECT \"count\"(1)",
            "SELECT * FROM t FOR UPDATE",
            "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
            "SELECT 1 INTO t",
            "SELECT pg_sleep(1)",
            "SELECT pg_advisory_lock(1)",
            "UPDATE t SET a = 1",
            "SHOW timezone",
        ] {
            assert!(!repeatable(text), "{text}");
        }
    }

    #[test]
    fn session_effects_are_seen() {
        let effect = |text: &str| split(text).remove(0).session;
        assert_eq!(effect("SET TIME ZONE 'UTC'"), SessionEffect::Set { name: "timezone".into() });
        assert_eq!(
            effect("set session myapp.user = '1'"),
            SessionEffect::Set { name: "myapp.user".into() }
        );
        assert_eq!(
            effect("SET LOCAL search_path = x"),
            SessionEffect::SetLocal { name: "search_path".into() }
        );
        let reset = |name: &str| SessionEffect::Reset { name: Some(name.into()) };
        assert_eq!(effect("SET search_path TO DEFAULT"), reset("search_path"));
        assert_eq!(effect("SET SESSION myapp.user = DEFAULT"), reset("myapp.user"));
        assert_eq!(effect("SET TIME ZONE LOCAL"), reset("timezone"));
        let reset_local = |name: &str| SessionEffect::ResetLocal { name: name.into() };
        assert_eq!(effect("SET LOCAL work_mem TO DEFAULT"), reset_local("work_mem"));
        assert_eq!(effect("SET LOCAL TIME ZONE LOCAL"), reset_local("timezone"));
        assert_eq!(effect("RESET \"TimeZone\""), reset("timezone"));
        let leaves = |names: &[&str]| {
            SessionEffect::Leaves(Box::new(Traces {
                names: names.iter().map(|&name| name.to_owned()).collect(),
                ..Traces::default()
            }))
        };
        assert_eq!(
            effect("DO $$ BEGIN PERFORM set_config('a.b', 'c', false); END $$"),
            leaves(&["a.b"])
        );
        assert_eq!(
            effect("DO $$ BEGIN UPDATE t SET v = 1 WHERE k = 1; END $$"),
            SessionEffect::None
        );
        assert_eq!(effect("SET search_path FROM CURRENT"), leaves(&["search_path"]));
        assert_eq!(effect("SET DateStyle TO dmy"), leaves(&["datestyle"]));
        assert_eq!(effect("DO $$ BEGIN RAISE NOTICE 'x'; END $$"), SessionEffect::None);
        assert_eq!(effect("RESET ALL"), SessionEffect::Reset { name: None });
        assert_eq!(effect("LISTEN C"), SessionEffect::Listen { channel: "c".into() });
        assert_eq!(effect("UNLISTEN \"C\""), SessionEffect::Unlisten { channel: Some("C".into()) });
        assert_eq!(effect("UNLISTEN *"), SessionEffect::Unlisten { channel: None });
        assert_eq!(effect("SELECT pg_advisory_lock(1)"), SessionEffect::Pins(Pin::AdvisoryLock));
        for text in [
            "CREATE TEMP TABLE t (a int)",
            "create local temporary table t as select 1",
            "CREATE OR REPLACE TEMP VIEW v AS SELECT 1",
            "CREATE OR REPLACE TEMPORARY RECURSIVE VIEW v (a) AS SELECT 1",
            "CREATE TEMP SEQUENCE s",
            "CREATE TABLE pg_temp.t (a int)",
            "CREATE FUNCTION \"pg_temp\".f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "SELECT 1 INTO TEMP t",
            "WITH a AS (SELECT 1) SELECT * INTO LOCAL TEMPORARY TABLE t FROM a",
            "EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1",
            "SELECT 1 INTO pg_temp.t",
        ] {
            assert_eq!(effect(text), SessionEffect::Pins(Pin::TemporaryObject), "{text}");
        }
        for text in [
            "SELECT a INTO temp FROM t",
            "INSERT INTO temp VALUES (1)",
            "WITH a AS (SELECT 1) INSERT INTO temp SELECT * FROM a",
            "SELECT lastval FROM t",
            "SELECT * FROM pg_temp.t",
        ] {
            assert_eq!(effect(text), SessionEffect::None, "{text}");
        }
        let set = |name: &str| SessionEffect::Set { name: name.into() };
        assert_eq!(
            effect("SELECT pg_catalog.set_config('Search_Path', '', false);"),
            set("search_path")
        );
        assert_eq!(effect("select set_config('a.b', $1, true), set_config('c.d', $2, 'true')"), {
            SessionEffect::SetLocal { name: "set_config".into() }
        });
        for text in [
            "SELECT set_config('a.b', $1, false)",
            "SELECT \"set_config\"('a.b', 'c', false), 1",
            "SELECT set_config('a.b', 'c', true), set_config('A.b'::text, 'c', false)",
            "SELECT set_config('a.b', 'c', not true)",
            "SELECT set_config('a.b', 'c', is_local) AS x FROM t",
        ] {
            assert_eq!(effect(text), leaves(&["a.b"]), "{text}");
        }
        assert_eq!(
            effect("SELECT set_config(name, 'c', is_local) FROM t"),
            SessionEffect::Pins(Pin::Configuration)
        );
        assert_eq!(
            effect("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"),
            set("default_transaction_isolation")
        );
        assert_eq!(
            effect("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"),
            set("default_transaction_read_only")
        );
        assert_eq!(
            effect(
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY"
            ),
            leaves(&[
                "default_transaction_isolation",
                "default_transaction_read_only",
                "default_transaction_deferrable"
            ])
        );
        assert_eq!(effect("SELECT 'LISTEN'"), SessionEffect::None);
        assert_eq!(effect("rollback to savepoint x"), SessionEffect::None);
    }
}
