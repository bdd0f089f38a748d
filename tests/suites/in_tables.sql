-- What a table has, and rows in its place haven't: system columns, a primary key that decides the other columns, its name with its schema.
-- table: public.h
-- table: public.notes

CREATE TABLE h (id int PRIMARY KEY, u int NOT NULL, t int, extra text, doc json, twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE notes (id int PRIMARY KEY, h_id int, body text);
CREATE TABLE people (id int PRIMARY KEY, name text, mood json);
INSERT INTO h (id, u, t, extra, doc) SELECT n, n % 4, -n, 'e' || n, '{"a": 1}' FROM generate_series(1, 40) n;
INSERT INTO notes SELECT n, n % 5, 'b' || n FROM generate_series(1, 10) n;
INSERT INTO people VALUES (1, 'Ada', '{}'), (2, 'Linus', NULL), (3, 'Grace', '[]');

-- Batches.
DELETE FROM h WHERE u = 1 AND ctid IN (SELECT ctid FROM h WHERE u = 1 ORDER BY t LIMIT 2);
-- sorted
SELECT id FROM h WHERE u = 1;
DELETE FROM h WHERE ctid = ANY (ARRAY(SELECT ctid FROM h WHERE u = 1 ORDER BY t LIMIT 2 FOR UPDATE SKIP LOCKED));
-- sorted
DELETE FROM h WHERE ctid = ANY (ARRAY(SELECT x.ctid FROM h AS x WHERE x.u = 1 ORDER BY x.t LIMIT 1)) RETURNING id, twice;
UPDATE h SET extra = 'first' WHERE u = 2 AND ctid IN (SELECT ctid FROM h WHERE u = 2 ORDER BY t LIMIT 3);
-- sorted
SELECT id FROM h WHERE extra = 'first';
UPDATE h SET extra = 'one' WHERE ctid = (SELECT ctid FROM h WHERE u = 2 ORDER BY t DESC LIMIT 1) RETURNING id;
DELETE FROM h USING (SELECT ctid FROM h WHERE u = 3 ORDER BY t LIMIT 2) AS q WHERE h.ctid = q.ctid;
WITH doomed AS (SELECT ctid FROM h WHERE u = 3 ORDER BY t LIMIT 2) DELETE FROM h USING doomed WHERE h.ctid = doomed.ctid;
-- sorted
WITH doomed AS MATERIALIZED (SELECT ctid AS place FROM h WHERE u = 3 ORDER BY t LIMIT 1 FOR UPDATE) DELETE FROM h USING doomed WHERE h.ctid = doomed.place RETURNING h.id, h.extra;
WITH some AS (SELECT ctid FROM h WHERE u = 0 ORDER BY t LIMIT 2) UPDATE h SET t = 1000 WHERE ctid IN (SELECT ctid FROM some);
-- params: int4 0, int8 1
DELETE FROM h WHERE u = $1 AND ctid IN (SELECT ctid FROM h WHERE u = $1 ORDER BY t, id LIMIT $2);
-- sorted
SELECT id, t FROM h WHERE u = 0;
-- sorted
SELECT id FROM h WHERE u = 3;

-- One of each, and pairs.
DELETE FROM notes WHERE ctid NOT IN (SELECT min(ctid) FROM notes GROUP BY h_id);
SELECT count(*), count(DISTINCT h_id) FROM notes;
INSERT INTO notes VALUES (20, 1, 'again'), (21, 1, 'and again');
DELETE FROM notes a USING notes b WHERE a.h_id = b.h_id AND a.ctid <> b.ctid AND a.id > b.id;
SELECT * FROM notes WHERE h_id = 1;
INSERT INTO notes SELECT id + 100, h_id, body FROM notes WHERE ctid IN (SELECT ctid FROM notes ORDER BY id LIMIT 1);
INSERT INTO notes SELECT id, h_id, body FROM notes WHERE ctid IN (SELECT ctid FROM notes ORDER BY id LIMIT 1);
INSERT INTO notes SELECT id, h_id, 'taken' FROM notes WHERE ctid IN (SELECT ctid FROM notes ORDER BY id LIMIT 1) ON CONFLICT (id) DO UPDATE SET body = excluded.body;
SELECT * FROM notes ORDER BY id;

-- The table's own number.
SELECT DISTINCT tableoid::regclass::text FROM h;
SELECT id FROM h WHERE tableoid = 'h'::regclass AND id < 10 ORDER BY id;

-- The primary key decides the other columns.
SELECT id, extra, count(*) FROM h GROUP BY id ORDER BY id LIMIT 3;
SELECT h.id, h.extra, h.doc, count(n.id) FROM h LEFT JOIN notes n ON n.h_id = h.id GROUP BY h.id ORDER BY h.id LIMIT 4;
SELECT p.id, p.name, p.mood, count(h.id) FROM people p JOIN h ON h.u = p.id GROUP BY p.id ORDER BY p.id;
SELECT p.name, h.id, h.extra, count(*) FROM people p JOIN h ON h.u = p.id GROUP BY p.id, h.id ORDER BY p.id, h.id;
WITH w AS (SELECT id, extra, max(t) AS m FROM h GROUP BY id) SELECT * FROM w ORDER BY id LIMIT 2;
SELECT * FROM (SELECT h.*, sum(t) OVER () AS s FROM h GROUP BY h.id) q ORDER BY id LIMIT 2;
SELECT name FROM people WHERE name IN (SELECT extra FROM h GROUP BY id);
-- params: int4 2
SELECT id, extra, sum(t) FROM h WHERE u = $1 GROUP BY id HAVING sum(t) < 0 ORDER BY id;
CREATE VIEW counted AS SELECT h.id, h.extra, count(n.id) AS notes FROM h LEFT JOIN notes n ON n.h_id = h.id GROUP BY h.id;
SELECT * FROM counted WHERE notes > 0 ORDER BY id;
UPDATE h SET extra = q.n::text FROM (SELECT notes.id, body, count(*) AS n FROM notes GROUP BY notes.id) q WHERE q.id = h.id;
SELECT id, extra, sum(t) FROM h GROUP BY u;
CREATE TABLE kept AS SELECT id, extra, count(*) AS n FROM h WHERE u = 2 GROUP BY id;
SELECT * FROM kept ORDER BY id;
INSERT INTO people SELECT id + 1000, extra, doc FROM h WHERE u = 2 GROUP BY id;
SELECT id, name FROM people ORDER BY id;

-- Names with their schema.
SELECT public.h.id, public.h.extra FROM public.h WHERE public.h.u = 2 ORDER BY public.h.id LIMIT 2;
SELECT public.h.id, n.body FROM public.h JOIN public.notes n ON n.h_id = public.h.id ORDER BY 1, 2;
DELETE FROM public.notes WHERE public.notes.id IN (SELECT public.notes.id FROM public.notes WHERE public.notes.h_id = 3);
UPDATE public.notes SET body = 'x' WHERE id IN (SELECT public.notes.id FROM public.notes ORDER BY id DESC LIMIT 1);
SELECT public.notes.* FROM public.notes ORDER BY id;

-- Rows as values.
CREATE FUNCTION told(h) RETURNS text LANGUAGE sql STABLE AS $$ SELECT concat_ws(' ', $1.id, $1.extra, $1.twice) $$;
SELECT h, h.told, told(h), pg_typeof(h)::text, (h.*)::h = h.* AS same FROM (SELECT * FROM h WHERE id = 2) AS h;
SELECT h::text, h.told, told(h), pg_typeof(h)::text, row_to_json(h)->>'twice' FROM h WHERE id = 2;
SELECT (h).extra, ROW(h.*)::text, h IS NULL FROM h ORDER BY id LIMIT 2;
SELECT p.name, h FROM people p LEFT JOIN h ON h.id = p.id * 100 ORDER BY p.id;
SELECT id, told(h), count(*) FROM h GROUP BY id ORDER BY id LIMIT 2;

-- In blocks.
BEGIN;
INSERT INTO notes VALUES (50, 2, 'new');
DELETE FROM notes WHERE ctid IN (SELECT ctid FROM notes ORDER BY id DESC LIMIT 2);
SELECT id, body, count(*) FROM notes GROUP BY id ORDER BY id;
SELECT id, body, nextval('places') FROM notes GROUP BY id;
ROLLBACK;
CREATE SEQUENCE places;
BEGIN;
SELECT id, body, nextval('places') > 0 FROM notes GROUP BY id ORDER BY id LIMIT 1;
INSERT INTO people SELECT id + 2000, body, NULL FROM notes GROUP BY id;
UPDATE notes SET body = 'in a block' WHERE ctid IN (SELECT ctid FROM notes ORDER BY id LIMIT 1 FOR UPDATE);
COMMIT;
SELECT id, name FROM people WHERE id > 2000 ORDER BY id;
SELECT * FROM notes ORDER BY id;
BEGIN;
DECLARE c CURSOR FOR SELECT id, body, count(*) FROM notes GROUP BY id ORDER BY id;
FETCH 1 FROM c;
DELETE FROM notes;
FETCH ALL FROM c;
ROLLBACK;
