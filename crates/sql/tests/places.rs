//! A statement for every production of PostgreSQL's grammar in which a relation may stand: none is
//! missed, and each stands where it is said to.
//!
//! `@` is a relation that is read, `%` one that is written to, `#` one that is named in another
//! way; `~` is a name that means no relation.

use flywheel_sql::{Role, parse};

/// Queries, which may stand in each other.
const QUERIES: &[&str] = &[
    "SELECT * FROM @",
    "SELECT * FROM @ x, @ AS y (a, b), LATERAL (SELECT x.a FROM @) z",
    "SELECT * FROM ONLY @, ONLY (@) AS o, @ *",
    "SELECT * FROM s.@, c.s.@, \"S\".@",
    "SELECT * FROM @ JOIN @ USING (~) AS ~ NATURAL JOIN @ CROSS JOIN @",
    "SELECT * FROM @ LEFT JOIN (@ JOIN @ ON (SELECT true FROM @)) ON true FULL JOIN @ ON false",
    "SELECT * FROM @ a JOIN @ b JOIN @ c ON b.~ = c.~ ON a.~ = b.~",
    "SELECT * FROM (@ a RIGHT JOIN @ b ON true) AS j",
    "TABLE @",
    "TABLE ONLY @",
    "TABLE @ * ORDER BY 1",
    "TABLE s.@ LIMIT 1 FOR UPDATE",
    "(TABLE @)",
    "((SELECT 1 FROM @) ORDER BY 1) LIMIT 1",
    "SELECT 1 UNION ALL TABLE @",
    "TABLE @ UNION TABLE @ EXCEPT TABLE @ INTERSECT ALL TABLE @",
    "VALUES (1, (SELECT ~ FROM @)) UNION ALL TABLE @",
    "(TABLE @) UNION (SELECT 1 FROM @ ORDER BY (TABLE @))",
    "SELECT (SELECT 1 FROM @), ARRAY(SELECT 1 FROM @), EXISTS (TABLE @), ROW((TABLE @), 1) AS ~ FROM @",
    "SELECT f((TABLE @)), f(DISTINCT ~ ORDER BY (TABLE @)) FILTER (WHERE (TABLE @)), f(a => (TABLE @)), f(VARIADIC ARRAY(TABLE @))",
    "SELECT f() WITHIN GROUP (ORDER BY (TABLE @)), f() OVER (PARTITION BY (TABLE @) ORDER BY (TABLE @) ROWS (SELECT 1 FROM @) PRECEDING EXCLUDE TIES)",
    "SELECT f() OVER ~ FROM @ WINDOW ~ AS (PARTITION BY (TABLE @) RANGE BETWEEN '1 year'::interval PRECEDING AND CURRENT ROW)",
    "SELECT CASE (TABLE @) WHEN (TABLE @) THEN (TABLE @) ELSE (TABLE @) END, COALESCE((TABLE @), 1), NULLIF(1, (TABLE @)), GREATEST((TABLE @))",
    "SELECT CAST((TABLE @) AS ~), (TABLE @)::text, (TABLE @) COLLATE \"C\", (TABLE @) AT TIME ZONE 'x', ((TABLE @))[1], (TABLE @)[(TABLE @):(TABLE @)]",
    "SELECT EXTRACT(year FROM (TABLE @)), OVERLAY(a PLACING b FROM (TABLE @)), POSITION(a IN (TABLE @)), SUBSTRING(a FROM (TABLE @) FOR 2), TRIM(BOTH (TABLE @) FROM a)",
    "SELECT xmlelement(name ~, xmlattributes((TABLE @) AS ~), (TABLE @)), xmlforest((TABLE @) AS ~), xmlparse(DOCUMENT (TABLE @)), xmlpi(name ~, (TABLE @)), xmlserialize(CONTENT (TABLE @) AS text)",
    "SELECT JSON_OBJECT('a': (TABLE @)), JSON_ARRAY((TABLE @), 1), JSON_ARRAYAGG((TABLE @) ORDER BY 1), JSON_VALUE((TABLE @), '$'), (TABLE @) IS JSON AS ~ FROM @",
    "SELECT ((f()).*), (f()).~, @.*, ~.~.~ FROM @",
    "SELECT 1 FROM @ WHERE a IN (SELECT 1 FROM @) AND b NOT IN (TABLE @) AND c = ANY (TABLE @) AND d < ALL (SELECT 1 FROM @) OR e = SOME (ARRAY(TABLE @))",
    "SELECT 1 FROM @ WHERE a BETWEEN (TABLE @) AND (TABLE @) OR a BETWEEN SYMMETRIC 1 AND (TABLE @) OR (TABLE @) ISNULL OR (a, b) OVERLAPS ((TABLE @), c)",
    "SELECT 1 FROM @ WHERE a LIKE (TABLE @) ESCAPE (TABLE @) AND b SIMILAR TO (TABLE @) AND (TABLE @) IS DISTINCT FROM (TABLE @) AND NOT (TABLE @)",
    "SELECT DISTINCT ON ((TABLE @)) a FROM @ GROUP BY (TABLE @), ROLLUP (a, (TABLE @)), CUBE (a), GROUPING SETS ((), GROUPING SETS ((a, b), ((TABLE @)))) HAVING (TABLE @)",
    "SELECT a FROM @ ORDER BY (TABLE @) USING <, b NULLS FIRST LIMIT (TABLE @) OFFSET (TABLE @) ROWS",
    "SELECT a FROM @ ORDER BY 1 FETCH FIRST (SELECT 1 FROM @) ROWS ONLY FOR NO KEY UPDATE OF ~ SKIP LOCKED FOR SHARE",
    "SELECT * FROM f((TABLE @)) WITH ORDINALITY AS ~ (~), ROWS FROM (f((TABLE @)), g() AS (~ int)) AS h",
    "SELECT * FROM f((TABLE @)) AS (~ int, b text), LATERAL g((SELECT 1 FROM @))",
    "SELECT * FROM xmltable('/a' PASSING (TABLE @) COLUMNS ~ int PATH 'b' DEFAULT (TABLE @), c FOR ORDINALITY) AS x",
    "SELECT * FROM json_table((TABLE @), '$' COLUMNS (~ int PATH '$.a', NESTED PATH '$.b' COLUMNS (c int))) AS x",
    "SELECT * FROM (VALUES ((TABLE @))) AS v (~)",
    "WITH ~ AS (SELECT 1 FROM @), y (~) AS NOT MATERIALIZED (TABLE @) SELECT * FROM y, @",
    "WITH RECURSIVE r AS (SELECT 1 FROM @ UNION ALL SELECT 1 FROM r, @) SEARCH DEPTH FIRST BY ~ SET ~ SELECT * FROM r",
    "WITH RECURSIVE r AS (SELECT 1 FROM r) CYCLE ~ SET ~ TO '1' DEFAULT '2' USING ~ SELECT * FROM r, s.@",
    "WITH d AS (DELETE FROM % USING @ WHERE (TABLE @) RETURNING *), i AS (INSERT INTO % TABLE @ RETURNING ~) SELECT * FROM d, i",
    "SELECT trim(trailing FROM ~) AS ~ FROM @",
    "SELECT 1 AS ~, a ~ FROM @",
];

/// Other statements; `?` is a query.
const STATEMENTS: &[&str] = &[
    "INSERT INTO % VALUES (1, (TABLE @)), (DEFAULT, 2)",
    "INSERT INTO s.% AS ~ (~, a[1], b.~) OVERRIDING USER VALUE ? ON CONFLICT (lower(~), (a + 1) COLLATE \"C\" text_ops) WHERE a > 1 DO UPDATE SET a = (TABLE @), (b, c) = (SELECT 1, 2 FROM @) WHERE (TABLE @) RETURNING (TABLE @)",
    "INSERT INTO % DEFAULT VALUES RETURNING *",
    "INSERT INTO % SELECT 1 FROM @ ON CONFLICT ON CONSTRAINT ~ DO NOTHING",
    "WITH w AS (TABLE @) INSERT INTO % WITH x AS (TABLE w) TABLE x",
    "UPDATE % SET a = (TABLE @), b[(TABLE @)] = 1, (c, d) = (SELECT 1, 2 FROM @), e.~ = DEFAULT",
    "UPDATE ONLY % AS ~ SET ~ = 1 FROM @, (TABLE @) x, ONLY (@) o WHERE (TABLE @) RETURNING (TABLE @)",
    "UPDATE s.% * u SET a = 1 WHERE CURRENT OF ~",
    "DELETE FROM %",
    "DELETE FROM ONLY (%) AS ~ USING @ JOIN @ ON true, LATERAL (TABLE @) x WHERE ~.a IN (TABLE @) RETURNING ~.*",
    "WITH w AS (UPDATE % SET a = 1 RETURNING *) DELETE FROM % WHERE CURRENT OF ~",
    "MERGE INTO ONLY % AS ~ USING @ AS y ON (TABLE @) WHEN MATCHED AND (TABLE @) THEN UPDATE SET a = (TABLE @) WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT (~) VALUES ((TABLE @))",
    "MERGE INTO % USING (SELECT 1 FROM @) y ON true WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT DEFAULT VALUES RETURNING merge_action(), (TABLE @)",
    "CREATE TABLE # AS ?",
    "CREATE TEMP TABLE IF NOT EXISTS # (~, b) ON COMMIT DROP AS ? WITH NO DATA",
    "SELECT a INTO TEMP # FROM @",
    "CREATE TABLE # (~ int DEFAULT 1 REFERENCES # (~), LIKE # INCLUDING ALL, FOREIGN KEY (~) REFERENCES s.#) INHERITS (#, #)",
    "CREATE TABLE # PARTITION OF # FOR VALUES IN (1)",
    "CREATE VIEW # (~) AS ?",
    "CREATE OR REPLACE TEMP VIEW # WITH (security_barrier) AS ? WITH CHECK OPTION",
    "CREATE MATERIALIZED VIEW # AS ?",
    "CREATE RULE ~ AS ON INSERT TO # WHERE EXISTS (TABLE @) DO INSTEAD (INSERT INTO % TABLE @; DELETE FROM %; ?)",
    "CREATE UNIQUE INDEX ~ ON # (~, lower(b)) WHERE a > 1",
    "CREATE CONSTRAINT TRIGGER ~ AFTER UPDATE OF ~ ON # FROM # DEFERRABLE FOR EACH ROW WHEN (OLD.~ > 1) EXECUTE FUNCTION ~()",
    "CREATE TRIGGER ~ AFTER INSERT ON # REFERENCING NEW TABLE AS ~ FOR EACH STATEMENT EXECUTE PROCEDURE ~(1)",
    "CREATE POLICY ~ ON # USING (EXISTS (TABLE @)) WITH CHECK ((SELECT true FROM @))",
    "DECLARE ~ CURSOR WITH HOLD FOR ?",
    "PREPARE ~ (int) AS ?",
    "EXPLAIN (ANALYZE, FORMAT json) ?",
    "EXPLAIN DELETE FROM % USING @",
    "COPY # (~) FROM STDIN WITH (FORMAT csv) WHERE a > 1",
    "COPY (TABLE @) TO STDOUT",
    "COPY (UPDATE % SET a = 1 RETURNING *) TO STDOUT",
    "LOCK TABLE #, ONLY # IN SHARE MODE",
    "TRUNCATE #, ONLY s.# RESTART IDENTITY",
    "DROP TABLE #, s.# CASCADE",
    "DROP VIEW #",
    "ALTER TABLE ONLY # ADD CONSTRAINT ~ FOREIGN KEY (~) REFERENCES #, INHERIT #",
    "ALTER TABLE # ATTACH PARTITION # DEFAULT",
    "ALTER TABLE # RENAME TO #",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY #",
    "CREATE FUNCTION ~() RETURNS int BEGIN ATOMIC ?; INSERT INTO % TABLE @; END",
];

/// The statement with names in the places of its signs, and what is to be found of it.
fn filled(template: &str) -> (String, Vec<(Role, String)>) {
    let (mut text, mut expected) = (String::new(), Vec::new());
    for sign in template.chars() {
        let role = match sign {
            '@' => Some(Role::Read),
            '%' => Some(Role::Target),
            '#' => Some(Role::Object),
            _ => None,
        };
        match (role, sign) {
            (Some(role), _) => {
                let name = format!("relation_{}", expected.len());
                text.push_str(&name);
                expected.push((role, name));
            }
            (None, '~') => text.push_str("other"),
            (None, other) => text.push(other),
        }
    }
    (text, expected)
}

fn check(template: &str) {
    let (text, expected) = filled(template);
    let parsed = parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let found: Vec<_> = parsed
        .relations
        .iter()
        .map(|relation| (relation.role, relation.name.name.clone()))
        .collect();
    // `relation_0.*` names a relation's row a second time.
    let expected: Vec<_> =
        expected.into_iter().filter(|(_, name)| !text.contains(&format!("{name}.*"))).collect();
    assert_eq!(found, expected, "{text}");
    for relation in &parsed.relations {
        let written = &text[relation.range.clone()];
        assert!(written.contains(&relation.name.name), "{written} in {text}");
        let rest = written.replace(&relation.name.name, "");
        let rest = ["ONLY", "TABLE", "\"S\".", "c.", "s.", "(", ")", "*"]
            .iter()
            .fold(rest, |rest, part| rest.replace(part, ""));
        assert_eq!(rest.trim(), "", "{written} in {text}");
    }
}

#[test]
fn queries() {
    QUERIES.iter().for_each(|template| check(template));
}

#[test]
fn statements_around_queries() {
    for template in STATEMENTS {
        if template.contains('?') {
            QUERIES
                .iter()
                // PostgreSQL allows statements that write in the outermost WITH only.
                .filter(|query| !query.contains('%'))
                .for_each(|query| check(&template.replace('?', query)));
        } else {
            check(template);
        }
    }
}

#[test]
fn queries_in_queries() {
    for outer in QUERIES {
        for inner in QUERIES.iter().filter(|inner| !inner.contains('%')) {
            let inner = inner.trim_start_matches('(').trim_end_matches(')');
            if inner.matches('(').count() == inner.matches(')').count() {
                check(&outer.replace("(TABLE @)", &format!("({inner})")));
            }
        }
    }
}
