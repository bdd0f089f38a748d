-- Secondary indexes: rows by other columns than the key.
-- table: public.orders index=by_user:user_id,placed_at index=by_state:state
-- table: public.readings index=by_value:sensor,value index=by_batch:batch,n
-- table: public.tags index=by_flag:flag,tag

CREATE TABLE orders (id uuid PRIMARY KEY, user_id bigint NOT NULL, placed_at timestamptz NOT NULL, state text, total numeric(10,2), note text);
CREATE TABLE readings (sensor text, n int, value bigint, batch int, PRIMARY KEY (sensor, n));
CREATE TABLE tags (id int PRIMARY KEY, flag boolean, tag text COLLATE "C", price numeric(30,4));
CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);

INSERT INTO users VALUES (1, 'ann'), (2, 'bob'), (3, 'cy');
INSERT INTO orders VALUES ('00000000-0000-0000-0000-000000000001', 1, '2026-01-01 00:00+00', 'open', 1.50, 'a');
INSERT INTO orders VALUES ('00000000-0000-0000-0000-000000000002', 1, '2026-01-02 00:00+00', 'open', 2.50, NULL), ('00000000-0000-0000-0000-000000000003', 1, '2026-01-03 00:00+00', 'paid', 3, 'c');
INSERT INTO orders VALUES ('00000000-0000-0000-0000-000000000004', 2, '2026-01-04 00:00+00', NULL, 4, 'd'), ('00000000-0000-0000-0000-000000000005', 3, '1969-01-05 00:00+00', 'paid', NULL, 'e');
-- params: uuid '00000000-0000-0000-0000-000000000006', int8 2, timestamptz '2026-01-06 00:00:00.000001+00', text 'open'
INSERT INTO orders VALUES ($1, $2, $3, $4);

-- sorted
SELECT * FROM orders WHERE user_id = 1;
-- params: int8 1
SELECT id FROM orders WHERE user_id = $1 ORDER BY placed_at;
-- params: int8 1, int8 2
SELECT id FROM orders WHERE user_id = $1 ORDER BY placed_at DESC LIMIT $2;
-- params: int8 1, timestamptz '2026-01-02 00:00+00'
SELECT id, note FROM orders WHERE user_id = $1 AND placed_at >= $2 ORDER BY placed_at;
-- params: int8 1, timestamptz '2026-01-02 00:00+00'
SELECT id, note FROM orders WHERE user_id = $1 AND placed_at > $2 ORDER BY placed_at;
SELECT id FROM orders WHERE user_id = 1 AND placed_at = '2026-01-02 00:00+00';
SELECT id FROM orders WHERE user_id = 1 AND placed_at BETWEEN '2026-01-01' AND '2026-01-02 12:00' ORDER BY placed_at DESC;
SELECT id FROM orders WHERE user_id = 1 AND placed_at > '2026-01-01' AND placed_at < '2026-01-03' ORDER BY placed_at;
SELECT id FROM orders WHERE user_id = 1 AND placed_at < '2025-01-01';
SELECT id FROM orders WHERE user_id = NULL;
SELECT id FROM orders WHERE user_id = 99;
-- params: int8 NULL
SELECT id FROM orders WHERE user_id = $1;
SELECT id FROM orders WHERE user_id = 1.5;
SELECT id FROM orders WHERE user_id = 9223372036854775808;
SELECT id FROM orders WHERE user_id = 1 AND note = 'c';
SELECT id FROM orders WHERE user_id = 1 AND note IS NULL;
SELECT id FROM orders WHERE user_id = 1 AND id = '00000000-0000-0000-0000-000000000002';
-- sorted
SELECT id FROM orders WHERE user_id IN (1, 2);
-- sorted
SELECT id FROM orders WHERE user_id = ANY('{2,3,3}');
SELECT id FROM orders WHERE user_id IN (1, 3) ORDER BY placed_at DESC LIMIT 2;
-- sorted
SELECT id FROM orders WHERE state = 'open';
-- sorted
SELECT id FROM orders WHERE state IS NULL;
SELECT count(*), sum(total) FROM orders WHERE state = 'paid';
SELECT count(*) FROM orders WHERE state = 'open' AND user_id = 1;
SELECT id FROM orders ORDER BY state, placed_at;
SELECT id FROM orders WHERE state = 'open' ORDER BY placed_at;
SELECT user_id, count(*), max(placed_at) FROM orders WHERE user_id IN (1, 2) GROUP BY user_id ORDER BY user_id;

-- Joins lead to rows through an index as they do through the key.
SELECT u.name, o.id FROM users u JOIN orders o ON o.user_id = u.id WHERE u.name = 'ann' ORDER BY o.placed_at;
SELECT u.name, count(o.id) FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.name ORDER BY u.name;
SELECT id FROM orders WHERE user_id IN (SELECT id FROM users WHERE name <> 'ann') ORDER BY placed_at;
SELECT name FROM users u WHERE EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.id AND o.state = 'paid') ORDER BY name;
SELECT a.id, b.id FROM orders a JOIN orders b ON a.user_id = b.user_id AND a.id < b.id WHERE a.id = '00000000-0000-0000-0000-000000000001' ORDER BY 2;
-- Rows without a state are in no index over it.
SELECT u.id, o.id FROM users u LEFT JOIN orders o ON o.state = u.name ORDER BY 1;

-- A row moves in and out of ranges.
UPDATE orders SET state = 'paid', placed_at = '2026-01-09 00:00+00' WHERE id = '00000000-0000-0000-0000-000000000001';
SELECT id FROM orders WHERE user_id = 1 ORDER BY placed_at;
-- sorted
SELECT id FROM orders WHERE state = 'open';
UPDATE orders SET state = NULL WHERE id = '00000000-0000-0000-0000-000000000001';
-- sorted
SELECT id FROM orders WHERE state = 'paid';
UPDATE orders SET state = 'void' WHERE user_id = 1 AND placed_at < '2026-01-03';
UPDATE orders SET total = total + 1 WHERE state = 'void' RETURNING id, total;
DELETE FROM orders WHERE state = 'void' AND user_id = 2;
DELETE FROM orders WHERE user_id = 3 RETURNING id;
SELECT id FROM orders WHERE user_id = 3;

-- The block's own writes.
BEGIN;
INSERT INTO orders VALUES ('00000000-0000-0000-0000-00000000000a', 1, '2026-01-02 12:00+00', 'new', 1, NULL);
UPDATE orders SET user_id = 2 WHERE id = '00000000-0000-0000-0000-000000000003';
DELETE FROM orders WHERE id = '00000000-0000-0000-0000-000000000002';
SELECT id FROM orders WHERE user_id = 1 ORDER BY placed_at;
SELECT id FROM orders WHERE user_id = 1 ORDER BY placed_at DESC LIMIT 1;
SELECT id FROM orders WHERE user_id = 2 ORDER BY placed_at LIMIT 2;
SELECT id FROM orders WHERE user_id = 2 AND placed_at < '2026-01-04' ORDER BY placed_at;
UPDATE orders SET state = NULL WHERE id = '00000000-0000-0000-0000-00000000000a';
SELECT id FROM orders WHERE state = 'new';
SELECT u.name, o.id FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id < 3 ORDER BY o.placed_at;
UPDATE orders SET note = 'block' WHERE user_id = 2;
ROLLBACK;
SELECT id FROM orders WHERE user_id = 1 ORDER BY placed_at;
BEGIN;
UPDATE orders SET user_id = 2 WHERE id = '00000000-0000-0000-0000-000000000003';
UPDATE orders SET note = 'moved' WHERE user_id = 2;
SELECT id, note FROM orders WHERE user_id = 2 ORDER BY placed_at;
COMMIT;
SELECT id, note FROM orders WHERE user_id = 2 ORDER BY placed_at DESC;
SELECT id FROM orders WHERE user_id = 1 ORDER BY placed_at;

-- An index in the partition of its rows; its order column may be NULL.
INSERT INTO readings VALUES ('s', 1, 30, 7), ('s', 2, 10, 7), ('s', 3, 20, 8), ('s', 4, NULL, 7), ('t', 1, 10, NULL), ('s', 5, 10, 9);
SELECT n FROM readings WHERE sensor = 's' AND value > 10 ORDER BY value;
SELECT n FROM readings WHERE sensor = 's' AND value >= 20 ORDER BY value DESC LIMIT 1;
SELECT value FROM readings WHERE sensor = 's' AND value <= 20 ORDER BY value LIMIT 3;
-- sorted
SELECT n FROM readings WHERE sensor = 's' AND value = 10;
SELECT n FROM readings WHERE sensor = 's' ORDER BY value NULLS FIRST, n DESC;
SELECT n FROM readings WHERE sensor = 's' AND n > 2 AND value < 30 ORDER BY value, n;
SELECT sensor, n FROM readings WHERE batch = 7 ORDER BY n DESC;
SELECT sensor, n FROM readings WHERE batch = 7 AND n < 4 ORDER BY n;

-- Booleans and numbers as an index's columns.
INSERT INTO tags VALUES (1, true, 'x', 1.5), (2, false, 'y', NULL), (3, true, 'a', 99999999999999999999999999.1234), (4, NULL, 'z', 0), (5, true, NULL, 0), (6, true, 'Z', 0);
SELECT id, flag FROM tags WHERE flag = true AND tag > 'Z' ORDER BY tag;
SELECT id FROM tags WHERE flag = true AND tag >= 'Z' ORDER BY tag DESC LIMIT 2;
-- sorted
SELECT id FROM tags WHERE flag = true;
SELECT id FROM tags WHERE flag = false AND tag = 'y';
UPDATE tags SET flag = NOT flag WHERE flag = true AND tag < 'b';
SELECT id, flag FROM tags WHERE flag = false AND tag < 'z' ORDER BY tag;
