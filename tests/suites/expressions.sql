-- Expressions that need no row, conditions on other columns than the key's, and new values that are computed from a row.
-- table: public.sessions
-- table: public.history
-- table: public.counters

CREATE TABLE sessions (id text PRIMARY KEY, user_id bigint, data jsonb, seen timestamptz, day date, ok boolean, cost numeric(10,2), label varchar(5), tag uuid, score double precision);
CREATE TABLE history (user_id bigint, at timestamptz, query text, hits integer NOT NULL DEFAULT 1, PRIMARY KEY (user_id, at));
CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL, big bigint, body text, label varchar(5), cost numeric(10,2), data jsonb, at timestamp, day date, tags text[], span interval, raw bytea, code char(4), ratio double precision);
CREATE TABLE people (id integer PRIMARY KEY, name text);
INSERT INTO people VALUES (1, 'Ada'), (2, 'Max');

-- Values of an INSERT.
INSERT INTO sessions (id, user_id) VALUES ('a', 1 + 1) RETURNING *;
INSERT INTO sessions (id, user_id, label) VALUES (lower('B'), 2 * 3, 'x' || 'y'), (upper('c'), -(3 + 4), repeat('z', 3)) RETURNING *;
INSERT INTO sessions (id, label) VALUES ('long', repeat('x', 6));
INSERT INTO sessions (id, label) VALUES ('long', repeat('x', 4) || '      ') RETURNING label;
INSERT INTO sessions (id, cost) VALUES ('cost', 1.005 + 0) RETURNING cost;
INSERT INTO sessions (id, cost) VALUES ('cost2', 99999999.99 + 1);
INSERT INTO sessions (id, user_id) VALUES ('zero', 1 / 0);
INSERT INTO sessions (id, user_id) VALUES (NULLIF('a', 'a'), 1);
INSERT INTO sessions (id, user_id) VALUES (lower('A'), 3);
INSERT INTO sessions (id, user_id) VALUES (lower('A'), 3) ON CONFLICT DO NOTHING;
INSERT INTO sessions (id, user_id) VALUES (lower('A'), 3) ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id + 1 RETURNING user_id;
INSERT INTO sessions (id, user_id) VALUES (lower('A'), 3) ON CONFLICT (id) DO UPDATE SET user_id = length('abcd'), label = upper('q') RETURNING user_id, label;
INSERT INTO sessions (id, data) VALUES ('json', jsonb_build_object('a', 1, 'b', NULL)) RETURNING data;
INSERT INTO sessions (id, day) VALUES ('day', make_date(2024, 2, 29)) RETURNING day;
INSERT INTO sessions (id, seen) VALUES ('seen', to_timestamp(1700000000)) RETURNING seen;
INSERT INTO sessions (id, seen) VALUES ('zone', '2024-01-01 12:00'::timestamp at time zone 'UTC') RETURNING seen;
INSERT INTO sessions (id, ok) VALUES ('ok', coalesce(NULL, true)) RETURNING ok;
INSERT INTO sessions (id, user_id) VALUES ('epoch', extract(epoch FROM timestamp '2024-01-01 00:00')) RETURNING user_id;
INSERT INTO sessions (id, user_id) VALUES ('text', '1' || '2');
INSERT INTO sessions SELECT 'select', 7 RETURNING *;
INSERT INTO sessions (id, user_id, seen) SELECT 'upsert', 8, to_timestamp(1700000000) ON CONFLICT (id) DO UPDATE SET seen = to_timestamp(1700000000), user_id = 9 RETURNING user_id;
INSERT INTO sessions (id, user_id, seen) SELECT 'upsert', 8, to_timestamp(1700000000) ON CONFLICT (id) DO UPDATE SET seen = to_timestamp(1700000001), user_id = 9 RETURNING user_id, seen;
INSERT INTO sessions (id, user_id) SELECT 'many', 8 WHERE false;
INSERT INTO sessions (id, user_id) SELECT 'distinct', 8 UNION SELECT 'distinct', 8;
-- params: text 'Para', float8 1700000000, int8 5
INSERT INTO sessions (id, seen, user_id) SELECT lower($1), to_timestamp($2), $3 + 1 RETURNING *;
-- params: text 'Para'
SELECT id, user_id FROM sessions WHERE id = lower($1);

-- Keys.
SELECT id, user_id FROM sessions WHERE id = lower('A');
SELECT id, user_id FROM sessions WHERE id = 'a' || '';
SELECT id FROM sessions WHERE id = (SELECT 'a' || '');
SELECT id FROM sessions WHERE id = (SELECT lower('A'))::text;
SELECT id FROM sessions WHERE id = coalesce(NULL, 'a');
SELECT id FROM sessions WHERE id = NULLIF('a', 'a');
SELECT n FROM counters WHERE id = 1 + 1;
SELECT id FROM sessions WHERE lower('A') = id;
UPDATE sessions SET user_id = 100 WHERE id = lower('A') RETURNING id, user_id;
DELETE FROM sessions WHERE id = lower('ZONE') RETURNING id;
INSERT INTO history VALUES (1, '2024-01-01 00:00+00', 'a', 1), (1, '2024-01-02 00:00+00', 'b', 2), (1, '2024-01-03 00:00+00', 'c', 3), (2, '2024-01-01 00:00+00', 'd', 4), (3, now(), 'e', 5), (3, now() - interval '2 days', 'f', 6);
SELECT query FROM history WHERE user_id = 0 + 1 AND at >= timestamptz '2024-01-01 00:00+00' + interval '1 day' ORDER BY at;
SELECT query FROM history WHERE user_id = 3 AND at > now() - interval '1 day';
SELECT count(*) FROM history WHERE user_id = 3 AND at > now() - interval '1 day';
SELECT count(*) FROM history WHERE user_id = 3 AND at BETWEEN now() - interval '3 days' AND now() - interval '1 day';
SELECT h.query, p.name FROM history h JOIN people p ON p.id = h.user_id WHERE h.user_id = 2 - 1 AND h.at > timestamptz '2024-01-02 00:00+00' - interval '1 second' ORDER BY h.at;
SELECT query FROM history WHERE user_id = 1 AND at > '2024-01-03 00:00+00'::timestamptz - NULL::interval;
SELECT query FROM history WHERE user_id = 1 / 0 AND at > now();
SELECT query FROM history WHERE false AND user_id = 1 / 0;
UPDATE history SET hits = hits + 1 WHERE user_id = 3 AND at > now() - interval '1 day';
DELETE FROM history WHERE user_id = 3 AND at < now() - interval '1 day';
SELECT user_id, query, hits FROM history WHERE user_id = 3;
DELETE FROM history WHERE user_id = 3;

-- One moment in a transaction.
BEGIN;
INSERT INTO sessions (id, seen) VALUES ('moment', now());
SELECT seen = now() FROM sessions WHERE id = 'moment';
SELECT id FROM sessions WHERE id = 'moment' AND seen = now();
SELECT id FROM sessions WHERE id = lower('MOMENT') AND seen < now();
DELETE FROM sessions WHERE id = 'moment';
COMMIT;
-- An expression that fails doesn't end the transaction before its statement does.
BEGIN;
UPDATE sessions SET user_id = 1 / 0 WHERE id = 'nobody';
SELECT count(*) FROM sessions WHERE id = 'a';
UPDATE sessions SET user_id = 1 / 0 WHERE id = 'a';
SELECT 1;
ROLLBACK;
BEGIN;
SAVEPOINT s;
UPDATE sessions SET user_id = 1 / 0 WHERE id = 'a';
ROLLBACK TO s;
UPDATE sessions SET user_id = 2 + 2 WHERE id = 'a' RETURNING user_id;
COMMIT;

-- Conditions on other columns.
SELECT id FROM sessions WHERE id = 'a' AND user_id = 4;
SELECT id FROM sessions WHERE id = 'a' AND user_id = 5;
SELECT id FROM sessions WHERE id = 'a' AND user_id IN (3, 4, NULL);
SELECT id FROM sessions WHERE id = 'a' AND user_id > 3 AND user_id <= 4 AND label = 'Q';
SELECT id FROM sessions WHERE id = 'a' AND label = 'q';
SELECT id FROM sessions WHERE id = 'a' AND seen > now();
SELECT id FROM sessions WHERE id = 'seen' AND seen < now();
SELECT id FROM sessions WHERE id = 'seen' AND seen BETWEEN '2023-11-14 22:13:20+00' AND '2023-11-14 22:13:20+00';
SELECT id FROM sessions WHERE id = 'seen' AND seen > NULL;
SELECT id FROM sessions WHERE id = 'day' AND day = '2024-02-29';
SELECT id FROM sessions WHERE id = 'day' AND day >= 'infinity';
SELECT id FROM sessions WHERE id = 'ok' AND ok = true;
SELECT id FROM sessions WHERE id = 'ok' AND ok;
SELECT id FROM sessions WHERE id = 'cost' AND cost = 1.01;
SELECT id FROM sessions WHERE id = 'cost' AND cost = 1.010;
SELECT id FROM sessions WHERE id = 'cost' AND cost > 1.005;
SELECT id FROM sessions WHERE id = 'a' AND score = 'NaN';
SELECT id FROM sessions WHERE id = 'a' AND label > 'A';
SELECT id FROM sessions WHERE id = 'a' AND data = '{}';
SELECT id FROM sessions WHERE id = 'a' AND user_id = 99999999999999999999;
SELECT id FROM sessions WHERE id = 'a' AND user_id = 'x';
SELECT id FROM sessions WHERE id = 'a' AND day = 'x';
SELECT id FROM sessions WHERE id = 'a' AND id = 'b';
SELECT id FROM sessions WHERE id IN ('a', 'b', 'none') AND user_id > 5;
SELECT id FROM sessions WHERE id = 'a' AND user_id = 4 LIMIT 1;
SELECT id FROM sessions WHERE id = 'a' AND user_id = 4 OFFSET 1;
SELECT id FROM sessions WHERE id = 'a' AND user_id = 4 FOR UPDATE;
-- params: text 'a', int8 4
SELECT id, label FROM sessions WHERE id = $1 AND user_id = $2;
-- params: text 'a', int8[] '{1,4}'
SELECT id, label FROM sessions WHERE id = $1 AND user_id = ANY ($2);
-- params: text 'a', int8 NULL
SELECT id, label FROM sessions WHERE id = $1 AND user_id = $2;
SELECT query FROM history WHERE user_id = 1 AND hits >= 2 ORDER BY at DESC;
SELECT query FROM history WHERE user_id = 1 AND hits >= 2 AND query = 'c';
SELECT query FROM history WHERE user_id = 1 AND hits >= 2 ORDER BY at DESC LIMIT 1;
BEGIN;
UPDATE sessions SET user_id = 77 WHERE id = 'a';
SELECT id FROM sessions WHERE id = 'a' AND user_id = 4;
SELECT id FROM sessions WHERE id = 'a' AND user_id = 77;
ROLLBACK;

-- New values that are computed from the row.
INSERT INTO counters VALUES (1, 1, 1, 'body', 'lab', 1.10, '{"a": 1}', '2024-01-01 10:00', '2024-01-01', '{a,b}', '1 day', '\x00ff', 'ab', 0.5), (2, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
UPDATE counters SET body = body || 'z' WHERE id = 1;
UPDATE counters SET body = body || 'z' WHERE id = 1 RETURNING body;
UPDATE counters SET body = left(body || 'zzz', 7), n = n * 2 WHERE id = 1;
UPDATE counters SET body = body || 'z' WHERE id = 3;
UPDATE counters SET body = upper(body), label = body WHERE id = 1;
UPDATE counters SET label = label || '12' WHERE id = 1;
UPDATE counters SET label = label || '3' WHERE id = 1;
UPDATE counters SET label = rpad(label, 5) || '   ' WHERE id = 1;
UPDATE counters SET cost = cost * 1.5 WHERE id = 1;
UPDATE counters SET cost = cost / 3 WHERE id = 1;
UPDATE counters SET cost = cost * 100000000 WHERE id = 1;
UPDATE counters SET n = n + big WHERE id = 1;
UPDATE counters SET n = n + 2147483647 WHERE id = 1;
UPDATE counters SET n = big * 9223372036854775807 WHERE id = 1;
UPDATE counters SET n = big WHERE id = 2;
UPDATE counters SET n = n / (n - n) WHERE id = 1;
UPDATE counters SET big = n, n = coalesce(big, 0) WHERE id = 1;
UPDATE counters SET data = jsonb_set(data, '{b}', '2') WHERE id = 1;
UPDATE counters SET data = data || '{"c": [1, 2]}' WHERE id = 1;
UPDATE counters SET data = data - 'a' WHERE id = 1;
UPDATE counters SET at = at + interval '1 month', day = day + 1 WHERE id = 1;
UPDATE counters SET day = at WHERE id = 1;
UPDATE counters SET tags = tags || 'c' WHERE id = 1;
UPDATE counters SET tags = array_append(tags, 'd'), body = body || '!' WHERE id = 1;
UPDATE counters SET span = span * 2 WHERE id = 1;
UPDATE counters SET raw = raw || '\x01' WHERE id = 1;
UPDATE counters SET code = code || 'x' WHERE id = 1;
UPDATE counters SET code = upper(code) WHERE id = 1;
UPDATE counters SET ratio = ratio / 3 WHERE id = 1;
UPDATE counters SET body = CASE WHEN n > 1 THEN 'big' ELSE body END WHERE id = 1;
UPDATE counters SET body = 'literal', n = n + n WHERE id = 1;
UPDATE counters SET day = '2024-05-05', n = n + n WHERE id = 1;
UPDATE counters SET day = 'x', n = n + n WHERE id = 1;
UPDATE counters SET body = NULL, n = n + n WHERE id = 1;
UPDATE counters SET body = DEFAULT, n = n + n WHERE id = 1;
UPDATE counters SET n = NULL, big = n + n WHERE id = 1;
UPDATE counters SET id = id + 1 WHERE id = 1;
UPDATE counters SET id = id + 10 WHERE id = 1;
UPDATE counters SET id = id - 10 WHERE id = 11;
UPDATE counters SET n = (SELECT count(*) FROM people) WHERE id = 1;
UPDATE counters SET body = (SELECT name FROM people WHERE people.id = counters.id) WHERE id = 1;
UPDATE counters AS c SET body = c.body || c.id WHERE c.id = 1;
UPDATE counters SET body = counters.body || '?' WHERE counters.id = 1 AND n > 0;
UPDATE counters SET body = body || '?' WHERE id = 1 AND n < 0;
UPDATE counters SET body = body || '-' WHERE id IN (1, 2);
UPDATE counters SET body = coalesce(body, '') || id WHERE id IN (2, 1);
UPDATE ONLY counters SET body = body || '+' WHERE id = 1;
UPDATE counters SET (body, n) = (body || '+', n + n) WHERE id = 1;
UPDATE counters SET tags[1] = 'first' WHERE id = 1;
UPDATE counters SET body = lower(body) FROM people WHERE counters.id = people.id;
WITH w AS (SELECT 1 AS id) UPDATE counters SET body = body || '/' FROM w WHERE w.id = counters.id;
-- params: text 'p', int4 1
UPDATE counters SET body = body || $1 WHERE id = $2;
-- params: varchar 'pq', int4 1
UPDATE counters SET label = $1, n = n * 3 WHERE id = $2;
-- params: numeric 2.5, int4 1
UPDATE counters SET cost = cost + $1 WHERE id = $2 RETURNING cost;
BEGIN;
UPDATE counters SET body = body || 'b' WHERE id = 1;
UPDATE counters SET body = body || 'c' WHERE id = 1;
SELECT body FROM counters WHERE id = 1;
SAVEPOINT s;
UPDATE counters SET body = body || 'd', n = n * n WHERE id = 1;
ROLLBACK TO s;
UPDATE counters SET n = n / 0 WHERE id = 1;
ROLLBACK TO s;
UPDATE counters SET body = body || 'e' WHERE id = 1;
COMMIT;
SELECT * FROM counters ORDER BY id;
SELECT id, user_id, data, day, ok, cost, label FROM sessions ORDER BY id;
