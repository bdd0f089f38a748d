-- PostgreSQL's whole grammar around a store table: every place where it may stand, and what stands beside it.
-- table: public.person
-- table: public.sess

CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL, tags int[], boss int);
CREATE TABLE sess (sid text PRIMARY KEY, sess json NOT NULL, expire timestamptz NOT NULL);
CREATE TABLE rel (id int PRIMARY KEY, person text, k text, t int[]);
INSERT INTO person VALUES (1, 'Ada', '{1,2,3}', NULL), (2, 'Bob', '{4}', 1), (3, 'Cy', NULL, 2), (4, 'Di', '{7,8}', 2);
INSERT INTO rel VALUES (1, 'x', '  a  ', '{1}'), (2, 'y', 'b', NULL);

-- A table by itself is a query.
-- sorted
TABLE person;
-- sorted
SELECT 9, 'x', NULL::int[], 0 UNION ALL TABLE person;
-- sorted
TABLE person EXCEPT SELECT * FROM person WHERE id = 1;
-- sorted
(TABLE person) INTERSECT SELECT * FROM person WHERE id > 2;
-- sorted
VALUES (9, 'x', NULL::int[], 0) UNION ALL TABLE ONLY person;
-- sorted
SELECT * FROM (TABLE person) p WHERE p.id < 3;
-- sorted
WITH p AS (TABLE person) SELECT * FROM p;
SELECT count(*) FROM person WHERE id IN (SELECT id FROM (TABLE person ORDER BY id LIMIT 2) q);
INSERT INTO person SELECT 10, 'Jo', NULL, 1 UNION ALL (TABLE person EXCEPT TABLE person);
-- sorted
SELECT * FROM person;
DELETE FROM person WHERE id = 10;
TABLE person ORDER BY id DESC LIMIT 2;
WITH person AS (SELECT 1 AS one) TABLE person;

-- Names with a schema.
SELECT public.person.id, public.person.name FROM public.person WHERE public.person.id = 1;
SELECT public.person.id FROM public.person WHERE public.person.name LIKE 'B%' ORDER BY public.person.id;
SELECT public.person.* FROM public.person WHERE public.person.id > 2 ORDER BY public.person.id;
SELECT public.person.name, public.rel.k FROM public.person JOIN public.rel ON public.rel.id = public.person.id ORDER BY public.person.id;
SELECT public.person.name FROM public.person WHERE EXISTS (SELECT 1 FROM public.rel WHERE public.rel.id = public.person.id) ORDER BY 1;
SELECT count(*) FROM person WHERE (SELECT public.person.id) > 1;
UPDATE public.person SET name = upper(public.person.name) WHERE public.person.id = 1 RETURNING public.person.name;
UPDATE public.person SET name = 'Ada' WHERE public.person.id = 1 RETURNING public.person.id, public.person.name;
DELETE FROM public.person WHERE public.person.id = 99 RETURNING public.person.id;
INSERT INTO public.person (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = person.name || 'x' RETURNING public.person.name;
UPDATE person SET name = 'Ada' WHERE id = 1;

-- Subscripts, slices and fields.
SELECT id, tags[1], tags[2:3], (tags)[1] FROM person ORDER BY id;
UPDATE person SET tags[2] = 9, boss = 1 WHERE id = 2 RETURNING tags;
UPDATE person SET tags[1:1] = '{5}' WHERE tags[1] = 4 RETURNING id, tags;
SELECT (json_populate_record(NULL::rel, '{"id": 1}')).* , person.id FROM person WHERE id = 1;

-- Windows with frames that leave rows out, and ranges of intervals.
SELECT id, sum(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM person ORDER BY id;
SELECT id, count(*) OVER (ORDER BY id GROUPS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM person ORDER BY id;
SELECT id, count(*) OVER (ORDER BY date '2020-01-01' + id RANGE BETWEEN '1 year'::interval PRECEDING AND CURRENT ROW) FROM person ORDER BY id;

-- Recursion with SEARCH and CYCLE.
WITH RECURSIVE under (id, boss) AS (SELECT id, boss FROM person WHERE id = 1 UNION ALL SELECT p.id, p.boss FROM person p JOIN under u ON p.boss = u.id) SEARCH DEPTH FIRST BY id SET place SELECT id, place FROM under ORDER BY place;
WITH RECURSIVE under (id, boss) AS (SELECT id, boss FROM person WHERE id = 1 UNION ALL SELECT p.id, p.boss FROM person p JOIN under u ON p.boss = u.id) CYCLE id SET again USING way SELECT id, again, way FROM under ORDER BY id;

-- Grouping sets in each other, joins with names, and words of their own.
SELECT boss, count(*) FROM person GROUP BY GROUPING SETS ((), GROUPING SETS (boss, ROLLUP (boss))) ORDER BY 1, 2;
SELECT j.id FROM person JOIN rel USING (id) AS j ORDER BY j.id;
SELECT id FROM person WHERE boss ISNULL;
SELECT id FROM person WHERE boss NOTNULL AND name IS NOT NULL ORDER BY id;
SELECT id FROM person* ORDER BY id;
SELECT id FROM person WHERE id BETWEEN SYMMETRIC 3 AND 2 ORDER BY id;
SELECT id FROM person WHERE id + 1 BETWEEN 2 AND 3 ORDER BY id;
SELECT id FROM person WHERE NOT id BETWEEN 1 AND 3;
SELECT concat_ws(VARIADIC ARRAY['-', name, 'x']) FROM person ORDER BY id LIMIT 1;
SELECT p.id, q FROM person p, LATERAL (SELECT p.id * 2 AS q) AS r ORDER BY 1;
SELECT p.id, f.a FROM person p CROSS JOIN ROWS FROM (generate_series(1, 2), generate_series(5, 6)) WITH ORDINALITY AS f(a, b, c) ORDER BY 1, 2;
SELECT a.id FROM person a JOIN person b JOIN rel c ON c.id = b.id ON b.id = a.id ORDER BY 1;
SELECT a.id, b.id, c.id FROM rel a CROSS JOIN rel b LEFT JOIN person c ON c.id = b.id AND b.id = 1 ORDER BY 1, 2;
SELECT id FROM person WHERE name = 'A' 
  'da';
SELECT id FROM person WHERE name = E'A\x64a' OR name = U&'\0042ob' ORDER BY id;
SELECT U&"n!0061me" UESCAPE '!' FROM U&"p\0065rson" WHERE U&"i!0064" UESCAPE '!' = 2;

-- Writes.
-- params: text 's1', json '{"a": 1}', float8 1700000000
INSERT INTO sess (sid, sess, expire) SELECT $1, $2, to_timestamp($3) ON CONFLICT (sid) DO UPDATE SET sess = $2, expire = to_timestamp($3) RETURNING sid;
-- params: text 's1', json '{"a": 2}', float8 1800000000
INSERT INTO sess (sid, sess, expire) SELECT $1, $2, to_timestamp($3) ON CONFLICT (sid) DO UPDATE SET sess = $2, expire = to_timestamp($3) RETURNING sid;
SELECT sid, sess, expire FROM sess WHERE sid = 's1';
WITH upsert AS (UPDATE person SET name = 'Eve' WHERE id = 5 RETURNING *) INSERT INTO person (id, name) SELECT 5, 'Eve' WHERE NOT EXISTS (SELECT 1 FROM upsert);
WITH upsert AS (UPDATE person SET name = 'Eva' WHERE id = 5 RETURNING *) INSERT INTO person (id, name) SELECT 5, 'Eve' WHERE NOT EXISTS (SELECT 1 FROM upsert);
SELECT * FROM person WHERE id = 5;
UPDATE person p SET (name, boss) = (SELECT r.k, r.id FROM rel r WHERE r.id = 2) WHERE p.id = 5 RETURNING *;
INSERT INTO person AS p (id, name) VALUES (5, 'x') ON CONFLICT (id) WHERE true DO UPDATE SET name = p.name || excluded.name WHERE p.id = 5 RETURNING name;
MERGE INTO person AS p USING (VALUES (5), (6)) AS v(id) ON p.id = v.id WHEN MATCHED AND p.id = 5 THEN DELETE WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.id, 'Fay');
CREATE TABLE copied (id, who) AS SELECT id, name FROM person;
SELECT * FROM copied ORDER BY id;
SELECT id INTO more FROM person WHERE id < 3;
SELECT * FROM more ORDER BY id;

-- Only the word is the same.
SELECT trim(trailing FROM k) AS person FROM rel ORDER BY id;
INSERT INTO rel (id, person, t[1]) VALUES (3, 'z', 5) RETURNING *;
SELECT person FROM rel WHERE id BETWEEN SYMMETRIC 3 AND 1 ORDER BY id;
SELECT rel.person, sum(id) OVER (ORDER BY id ROWS 1 PRECEDING EXCLUDE CURRENT ROW) FROM rel ORDER BY id;
SELECT id AS person FROM rel ORDER BY person;
SELECT person.id FROM rel AS person ORDER BY 1;
UPDATE rel SET person = 'w' WHERE rel.person ISNULL OR rel.person = 'x' RETURNING person;
SELECT xmlelement(name person, k) FROM rel WHERE id = 2;

-- What inserts beside what changes the same table.
WITH gone AS (DELETE FROM person WHERE id = 6 RETURNING *) INSERT INTO person (id, name) SELECT id + 1, name FROM gone;
-- sorted
SELECT * FROM person;
WITH one AS (INSERT INTO person (id, name) VALUES (20, 'x') RETURNING id) INSERT INTO person (id, name) SELECT id + 1, 'y' FROM one;
WITH one AS (INSERT INTO person (id, name) VALUES (22, 'x') RETURNING id) INSERT INTO person (id, name) SELECT 22, 'y' FROM one;
WITH moved AS (UPDATE person SET id = 30 WHERE id = 20 RETURNING id) INSERT INTO person (id, name) SELECT 20, 'new' FROM moved;
WITH changed AS (UPDATE person SET name = 'z' WHERE id = 21 RETURNING *) INSERT INTO person (id, name) SELECT 1, 'w' FROM changed ON CONFLICT (id) DO UPDATE SET name = person.name || 'w' RETURNING *;
-- sorted
SELECT * FROM person;
