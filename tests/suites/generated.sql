-- What PostgreSQL puts into rows and checks of them: defaults, sequences, identities, generated columns, CHECK, NOT NULL.
-- table: public.always
-- table: public.serials
-- table: public.derived

CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY, n bigint, at date DEFAULT '2026-01-01', tag text DEFAULT 'tag' || 'ged');
CREATE TABLE serials (id bigserial PRIMARY KEY, small smallserial, n int NOT NULL DEFAULT 1 CHECK (n < 100), CONSTRAINT both_of_them CHECK (small + n < 110));
CREATE TABLE derived (id int PRIMARY KEY, a int, b int, sum int GENERATED ALWAYS AS (a + b) STORED, big boolean GENERATED ALWAYS AS (a > 10) STORED);

INSERT INTO always (n) VALUES (1), (2) RETURNING *;
INSERT INTO always (id, n) VALUES (1, 1);
INSERT INTO always (id, n) OVERRIDING SYSTEM VALUE VALUES (1, 1) RETURNING *;
INSERT INTO always (id, n) OVERRIDING USER VALUE VALUES (1, 7) RETURNING *;
INSERT INTO always VALUES (DEFAULT, 3, DEFAULT, NULL) RETURNING *;
UPDATE always SET id = 2 WHERE id = 1;
UPDATE always SET id = DEFAULT WHERE id = 1 RETURNING id;
UPDATE always SET n = n + 1 WHERE id = 10 RETURNING *;
UPDATE always SET at = DEFAULT, tag = DEFAULT WHERE id = 25 RETURNING *;
ALTER TABLE always ALTER COLUMN id RESTART WITH 1000;
INSERT INTO always DEFAULT VALUES RETURNING id;

INSERT INTO serials DEFAULT VALUES RETURNING *;
INSERT INTO serials (n) VALUES (5), (6) RETURNING *;
INSERT INTO serials (n) VALUES (100);
INSERT INTO serials (n) VALUES (NULL);
INSERT INTO serials (id, small, n) VALUES (50, 50, 60);
INSERT INTO serials (id, small, n) VALUES (50, 50, 50) RETURNING *;
INSERT INTO serials (n) VALUES (7) RETURNING *;
UPDATE serials SET n = n + 1 WHERE id = 50 RETURNING n;
UPDATE serials SET n = n + 10 WHERE id = 50;
UPDATE serials SET n = n + 100 WHERE id = 50;
UPDATE serials SET n = NULL WHERE id = 50;
SELECT nextval('serials_id_seq'), setval('serials_small_seq', 90);
INSERT INTO serials (n) VALUES (7) RETURNING *;
INSERT INTO serials (id, small, n) VALUES (50, 1, 1) ON CONFLICT (id) DO UPDATE SET n = serials.n + 1 RETURNING *;
INSERT INTO serials (id, small, n) VALUES (50, 1, 99) ON CONFLICT (id) DO UPDATE SET n = excluded.n + 1;

INSERT INTO derived (id, a, b) VALUES (1, 1, 2), (2, 20, NULL) RETURNING *;
INSERT INTO derived VALUES (3, 1, 2, 3, true);
INSERT INTO derived VALUES (3, 1, 2, DEFAULT, DEFAULT) RETURNING *;
UPDATE derived SET a = a + 10 WHERE id = 1 RETURNING *;
SELECT * FROM derived WHERE id = 1;
UPDATE derived SET b = 5 WHERE id = 2 RETURNING sum;
UPDATE derived SET sum = 5 WHERE id = 2;
UPDATE derived SET sum = DEFAULT, a = 0 WHERE id = 2 RETURNING *;
INSERT INTO derived (id, a, b) VALUES (1, 5, 6) ON CONFLICT (id) DO UPDATE SET a = excluded.a, b = excluded.b RETURNING *;
INSERT INTO derived (id, a, b) VALUES (1, 5, 6) ON CONFLICT (id) DO UPDATE SET a = derived.a + excluded.a RETURNING *;
UPDATE derived SET a = 2147483647 WHERE id = 3;
SELECT id, sum FROM derived WHERE big IS NOT TRUE ORDER BY id;
BEGIN;
UPDATE derived SET a = 100 WHERE id = 3 RETURNING big, sum;
SELECT * FROM derived WHERE id = 3;
COMMIT;
SELECT * FROM derived WHERE id = 3;
