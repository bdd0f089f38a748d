-- Statements prepared by SQL.
-- table: public.sessions
-- table: public.counters

CREATE TABLE sessions (id text PRIMARY KEY, user_id bigint NOT NULL, seen timestamptz, cost numeric(10,2), tags text[]);
CREATE TABLE counters (name text PRIMARY KEY, hits int NOT NULL DEFAULT 0);
CREATE TABLE plain (id int PRIMARY KEY);
INSERT INTO plain VALUES (1), (2);

PREPARE put AS INSERT INTO sessions VALUES ($1, $2, $3, $4, $5);
EXECUTE put('a', 1, '2026-01-01 00:00:00+00', 1.5, '{x,y}');
EXECUTE put('b', 1 + 1, NULL, 2.345, ARRAY['p,q', NULL]);
EXECUTE put('a', 1, NULL, NULL, NULL);
EXECUTE put('c', 'no number', NULL, NULL, NULL);
EXECUTE put('c', 1);
EXECUTE put;
PREPARE one (text) AS SELECT id, user_id, cost, tags FROM sessions WHERE id = $1;
EXECUTE one('a');
EXECUTE one ('b');
EXECUTE one(lower('A'));
EXECUTE one(NULL);
EXECUTE one(1, 2);
EXECUTE ONE('a');
PREPARE one AS SELECT 1;
PREPARE everyone AS SELECT count(*), max(user_id) FROM sessions;
EXECUTE everyone;
PREPARE "Both" AS SELECT p.id, s.id AS session FROM plain p JOIN sessions s ON s.user_id = p.id WHERE p.id >= $1 ORDER BY 1;
EXECUTE "Both"(1);
EXECUTE "Both"('2');
EXECUTE both(1);
PREPARE hit AS UPDATE counters SET hits = hits + $2 WHERE name = $1 RETURNING *;
INSERT INTO counters VALUES ('x', 1);
EXECUTE hit('x', 4);
EXECUTE hit('y', 4);
PREPARE wrong AS SELECT nothing FROM sessions;
PREPARE wrong AS SELEC * FROM sessions;
EXECUTE wrong;
PREPARE relational AS SELECT * FROM plain WHERE id = $1;
EXECUTE relational(2);

-- In a transaction block.
BEGIN;
EXECUTE hit('x', 10);
EXECUTE put('d', 4, NULL, NULL, NULL);
EXECUTE everyone;
ROLLBACK;
EXECUTE everyone;
BEGIN;
EXECUTE put('d', 4, NULL, NULL, NULL);
COMMIT;
EXECUTE everyone;
BEGIN;
EXECUTE put('d', 4, NULL, NULL, NULL);
EXECUTE everyone;
ROLLBACK;

-- Settings count when it is executed.
SET TimeZone = 'Asia/Tokyo';
PREPARE seen AS SELECT seen FROM sessions WHERE id = $1 AND seen >= $2;
EXECUTE seen('a', '2026-01-01');
SET DateStyle = 'German';
EXECUTE seen('a', '2026-01-01');
RESET DateStyle;
RESET TimeZone;

DEALLOCATE one;
EXECUTE one('a');
PREPARE one AS SELECT user_id FROM sessions WHERE id = $1;
EXECUTE one('a');
DEALLOCATE PREPARE one;
DEALLOCATE one;
DEALLOCATE ALL;
EXECUTE everyone;
PREPARE everyone AS SELECT count(*) FROM counters;
EXECUTE everyone;
DISCARD ALL;
EXECUTE everyone;
