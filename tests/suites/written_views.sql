-- Writes to views over store tables: PostgreSQL rewrites them to the table.
-- table: public.tasks
-- table: public.steps

CREATE TABLE people (name text PRIMARY KEY, age int);
CREATE TABLE tasks (id int PRIMARY KEY, owner text NOT NULL DEFAULT 'nobody', title text, hours int CHECK (hours >= 0));
CREATE TABLE steps (task int, n int, what text, PRIMARY KEY (task, n));
INSERT INTO people VALUES ('ada', 36), ('linus', 54);
INSERT INTO tasks VALUES (1, 'ada', 'think', 5), (2, 'linus', 'type', 7), (3, 'ada', 'rest', 0), (4, 'grace', 'test', 2);
INSERT INTO steps VALUES (1, 1, 'sit'), (1, 2, 'look'), (2, 1, 'press'), (4, 1, 'run');

CREATE VIEW plain AS SELECT id, title, owner FROM tasks;
CREATE VIEW renamed AS SELECT id AS number, hours AS spent, title, hours * 60 AS minutes FROM tasks WHERE owner = 'ada';
CREATE VIEW checked AS SELECT * FROM tasks WHERE hours < 10 WITH CHECK OPTION;
CREATE VIEW deep AS SELECT number AS k, spent FROM renamed WHERE spent > 0;
CREATE VIEW deep_checked AS SELECT id, hours, owner FROM checked WHERE owner <> 'linus' WITH LOCAL CHECK OPTION;
CREATE VIEW stepped AS SELECT id, title, owner FROM tasks WHERE EXISTS (SELECT 1 FROM steps WHERE steps.task = tasks.id);
CREATE VIEW known AS SELECT id, hours, owner FROM tasks WHERE owner IN (SELECT name FROM people);
CREATE VIEW totals AS SELECT owner, sum(hours) FROM tasks GROUP BY owner;
CREATE VIEW few AS SELECT task, n, what FROM steps WHERE n < 3;

INSERT INTO plain VALUES (10, 'write', 'ada');
INSERT INTO plain (id) VALUES (11), (12) RETURNING *;
-- sorted
INSERT INTO plain AS p (id, title) SELECT id + 100, title FROM plain WHERE id < 3 RETURNING p.id, owner;
INSERT INTO plain VALUES (1, 'again', 'ada');
INSERT INTO plain VALUES (1, 'again', 'ada') ON CONFLICT (id) DO UPDATE SET title = excluded.title || '!' RETURNING *;
INSERT INTO plain VALUES (1, 'again', 'ada'), (20, 'new', 'ada') ON CONFLICT DO NOTHING;
INSERT INTO plain VALUES (21, 'x', NULL);
INSERT INTO renamed (number, spent) VALUES (30, 3);
INSERT INTO renamed (number, minutes) VALUES (31, 3);
UPDATE plain SET title = 'thought' WHERE id = 1;
UPDATE plain AS p SET title = upper(p.title) WHERE p.id = 2 RETURNING p.*;
UPDATE renamed SET spent = spent + 1 WHERE number IN (1, 2, 3) RETURNING number, spent, minutes;
UPDATE renamed SET number = number + 1000 WHERE number = 3;
UPDATE renamed SET number = 2 WHERE number = 1;
UPDATE deep SET spent = spent * 2 WHERE k = 1;
UPDATE deep SET spent = -1 WHERE k = 1;
UPDATE plain SET title = p.name || p.age FROM people p WHERE p.name = plain.owner AND plain.id = 1 RETURNING plain.title;
UPDATE few SET what = t.title FROM tasks t WHERE t.id = few.task AND few.n = 1 AND t.owner = 'grace';
UPDATE people SET age = age + 1 FROM plain WHERE plain.owner = people.name AND plain.id = 1;
UPDATE ONLY few SET what = what || '.' WHERE task = 1;
-- params: text 'by parameter', int4 2
UPDATE plain SET title = $1 WHERE id = $2 RETURNING *;
-- params: int4 40, text 'forty'
INSERT INTO plain (id, title) VALUES ($1, $2);
DELETE FROM plain WHERE id = 11;
DELETE FROM few WHERE task = 1 AND n = 2 RETURNING *;
DELETE FROM renamed USING people p WHERE p.name = 'ada' AND number > 1000;
DELETE FROM few USING plain WHERE plain.id = few.task AND plain.owner = 'grace' RETURNING what;
INSERT INTO checked VALUES (50, 'ada', 'short', 9);
INSERT INTO checked VALUES (51, 'ada', 'long', 10);
UPDATE checked SET hours = hours + 5 WHERE id = 50;
UPDATE checked SET hours = 1 WHERE id = 50 RETURNING hours;
INSERT INTO deep_checked VALUES (52, 50, 'ada');
INSERT INTO deep_checked VALUES (52, 5, 'linus');
INSERT INTO deep_checked VALUES (52, 5, 'ada');
UPDATE stepped SET title = title || '?' WHERE owner IN ('ada', 'linus');
DELETE FROM stepped WHERE id = 2;
UPDATE known SET hours = 8 WHERE owner = 'ada' AND id < 50;
WITH gone AS (DELETE FROM plain WHERE id = 12 RETURNING *) SELECT id FROM gone;
WITH new AS (SELECT max(id) + 1 AS id FROM plain) INSERT INTO plain SELECT id, 'next', 'ada' FROM new;
INSERT INTO totals VALUES ('x', 1);
UPDATE totals SET owner = 'x';
DELETE FROM totals;
ALTER VIEW plain ALTER COLUMN title SET DEFAULT 'untitled';
INSERT INTO plain (id) VALUES (60) RETURNING *;
BEGIN;
INSERT INTO plain (id) VALUES (61);
UPDATE renamed SET spent = 4 WHERE number = 30;
SAVEPOINT one;
DELETE FROM plain WHERE id IN (60, 61);
SELECT count(*) FROM plain WHERE id IN (60, 61);
ROLLBACK TO one;
SELECT id FROM plain WHERE id IN (60, 61) ORDER BY id;
COMMIT;
PREPARE retitle AS UPDATE plain SET title = $1 WHERE id = $2;
EXECUTE retitle('prepared', 60);
DEALLOCATE retitle;
SELECT * FROM plain ORDER BY id;
SELECT * FROM people ORDER BY name;
