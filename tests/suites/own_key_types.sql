-- Keys of a database's own types: enums, and domains over types that a key may have.
-- table: public.tickets index=tickets_by_state:state,id
-- table: public.accounts
-- table: public.readings

CREATE TYPE state AS ENUM ('open', 'in progress', 'done');
CREATE DOMAIN email AS varchar(20) CHECK (VALUE LIKE '%@%');
CREATE DOMAIN handle AS text COLLATE "C";
CREATE DOMAIN short_handle AS handle CHECK (length(VALUE) < 6);
CREATE DOMAIN level AS smallint CHECK (VALUE > 0);
CREATE DOMAIN state_now AS state;

CREATE TABLE tickets (state state, id int, title text, next state, PRIMARY KEY (state, id));
CREATE TABLE accounts (email email PRIMARY KEY, handle short_handle NOT NULL, now state_now);
CREATE TABLE readings (sensor short_handle, level level, value numeric(6,2), PRIMARY KEY (sensor, level));

INSERT INTO tickets VALUES ('open', 1, 'a', 'in progress'), ('open', 2, 'b', NULL), ('done', 1, 'c', NULL), ('in progress', 3, 'd', 'done');
INSERT INTO tickets VALUES ('gone', 1, 'none', NULL);
INSERT INTO tickets VALUES ('open', 1, 'twice', NULL);
INSERT INTO tickets VALUES ('open', 1, 'twice', NULL) ON CONFLICT DO NOTHING;
SELECT * FROM tickets WHERE state = 'open' AND id = 1;
SELECT * FROM tickets WHERE state = 'open' ORDER BY id;
SELECT * FROM tickets WHERE state = 'gone' AND id = 1;
SELECT * FROM tickets WHERE state = 'done'::state AND id = 1;
SELECT * FROM tickets WHERE state IN ('open', 'done') AND id = 1 ORDER BY state;
SELECT * FROM tickets WHERE state > 'open' ORDER BY state, id;
SELECT * FROM tickets ORDER BY state DESC, id;
SELECT state, count(*) FROM tickets GROUP BY state ORDER BY state;
-- params: text 'in progress', int4 3
SELECT * FROM tickets WHERE state = $1::state AND id = $2;
-- params: text 'open', int4 2
UPDATE tickets SET title = title || '!', next = 'done' WHERE state = $1::state AND id = $2 RETURNING *;
UPDATE tickets SET next = 'nowhere' WHERE state = 'open' AND id = 1;
ALTER TYPE state ADD VALUE 'new' BEFORE 'open';
INSERT INTO tickets VALUES ('new', 9, 'first', 'open');
SELECT * FROM tickets ORDER BY state, id;
SELECT min(state), max(state) FROM tickets;
SELECT * FROM tickets WHERE state = 'new' AND id = 9;
DELETE FROM tickets WHERE state = 'open' AND id = 2 RETURNING *;

INSERT INTO accounts VALUES ('ann@example.org', 'ann', 'open'), ('ben@example.org', 'ben', NULL);
INSERT INTO accounts VALUES ('nobody', 'x', NULL);
INSERT INTO accounts VALUES ('cid@example.org', 'too long', NULL);
INSERT INTO accounts VALUES ('cid@example.org.much.too.long', 'cid', NULL);
INSERT INTO accounts VALUES ('ann@example.org', 'twice', NULL);
SELECT * FROM accounts WHERE email = 'ann@example.org';
SELECT * FROM accounts WHERE email = 'nobody';
SELECT * FROM accounts WHERE email = 'ann@example.org'::text;
SELECT pg_typeof(email)::text, pg_typeof(handle)::text, pg_typeof(now)::text FROM accounts WHERE email = 'ann@example.org';
-- params: text 'ben@example.org'
SELECT * FROM accounts WHERE email = $1;
UPDATE accounts SET handle = 'much too long' WHERE email = 'ann@example.org';
UPDATE accounts SET handle = 'anna', now = 'done' WHERE email = 'ann@example.org' RETURNING *;
SELECT * FROM accounts WHERE now = 'done';
SELECT * FROM accounts ORDER BY email;
DELETE FROM accounts WHERE email = 'ben@example.org' RETURNING handle;

INSERT INTO readings VALUES ('a', 1, 1.5), ('a', 10, 2.25), ('a', 2, NULL), ('b', 1, 0);
INSERT INTO readings VALUES ('a', 0, 1);
INSERT INTO readings VALUES ('a', 1, 1) ON CONFLICT (sensor, level) DO UPDATE SET value = readings.value + excluded.value RETURNING *;
SELECT * FROM readings WHERE sensor = 'a' ORDER BY level;
SELECT * FROM readings WHERE sensor = 'a' AND level > 1 ORDER BY level DESC;
SELECT * FROM readings WHERE sensor = 'a' AND level = 100000;
SELECT * FROM readings WHERE sensor = 'a' AND level = 0;
-- params: text 'a', int2 2
UPDATE readings SET value = 7 WHERE sensor = $1 AND level = $2 RETURNING *;

CREATE TABLE visits (id int PRIMARY KEY, state state);
INSERT INTO visits VALUES (1, 'open'), (2, 'done'), (3, NULL);
SELECT v.id, t.id, t.title FROM visits v JOIN tickets t ON t.state = v.state ORDER BY v.id, t.id;
BEGIN;
UPDATE tickets SET title = 'in the block' WHERE state = 'done' AND id = 1;
SELECT title FROM tickets WHERE state = 'done' AND id = 1;
ROLLBACK;
SELECT title FROM tickets WHERE state = 'done' AND id = 1;
