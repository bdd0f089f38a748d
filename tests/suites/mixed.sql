-- Statements over tables of different homes: users and lessons are relational, sessions and visits are in the store.
-- table: public.sessions
-- table: public.visits
-- table: public.amounts
-- table: public.prices

CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, country text);
CREATE TABLE archive (id uuid PRIMARY KEY, user_id bigint, device text);
CREATE TABLE sessions (id uuid PRIMARY KEY, user_id bigint NOT NULL, device text, seconds int);
CREATE TABLE visits (user_id bigint, page text, hits int NOT NULL DEFAULT 1, at timestamptz, PRIMARY KEY (user_id, page));

INSERT INTO users VALUES (1, 'Ada', 'uk'), (2, 'Linus', 'fi'), (3, 'Grace', 'us'), (4, 'Nobody', NULL);
INSERT INTO sessions VALUES ('11111111-1111-1111-1111-111111111111', 1, 'phone', 10), ('22222222-2222-2222-2222-222222222222', 1, 'desk', 20), ('33333333-3333-3333-3333-333333333333', 2, 'phone', 30), ('44444444-4444-4444-4444-444444444444', 9, NULL, NULL);
INSERT INTO visits VALUES (1, '/', 5, '2026-01-01 00:00+00'), (1, '/about', 2, '2026-01-02 00:00+00'), (2, '/', 1, NULL), (3, '/', 7, '2026-01-03 00:00+00'), (8, '/', 1, NULL);

CREATE TABLE amounts (id int PRIMARY KEY, n numeric);
CREATE TABLE prices (price numeric(6,2) PRIMARY KEY, name text);
INSERT INTO amounts VALUES (1, 1.5), (2, 1.500), (3, 1.505), (4, NULL), (5, 0), (6, 123456789), (7, 'NaN');
INSERT INTO prices VALUES (1.5, 'one and a half'), (0, 'nothing'), (1.51, 'more');

-- Joins.
SELECT u.name, s.device FROM users u JOIN sessions s ON s.user_id = u.id ORDER BY u.name, s.device;
SELECT u.name, s.device FROM users u LEFT JOIN sessions s ON s.user_id = u.id ORDER BY u.id, s.device;
SELECT u.name, s.device FROM users u RIGHT JOIN sessions s ON s.user_id = u.id ORDER BY s.id;
SELECT u.name, s.device FROM users u FULL JOIN sessions s ON s.user_id = u.id ORDER BY u.id, s.id;
SELECT name, device FROM users JOIN sessions ON user_id = users.id WHERE sessions.id = '33333333-3333-3333-3333-333333333333';
SELECT u.name, s.device FROM users u, sessions s WHERE u.id = s.user_id AND s.id = '11111111-1111-1111-1111-111111111111';
SELECT u.name, s.device FROM users u LEFT JOIN sessions s ON s.user_id = u.id AND s.device = 'phone' ORDER BY u.id;
SELECT u.name, s.device FROM users u LEFT JOIN sessions s ON s.user_id = u.id WHERE s.device IS NULL ORDER BY u.id;
SELECT u.name, s.id FROM users u LEFT JOIN sessions s ON s.id = '11111111-1111-1111-1111-111111111111' AND s.user_id = u.id ORDER BY u.id;
SELECT u.name, s.device, v.page FROM users u JOIN sessions s ON s.user_id = u.id JOIN visits v ON v.user_id = u.id ORDER BY 1, 2, 3;
SELECT u.name, v.page FROM users u CROSS JOIN LATERAL (SELECT page FROM visits WHERE visits.user_id = u.id ORDER BY hits DESC LIMIT 1) v ORDER BY u.id;
SELECT user_id, device, page FROM sessions JOIN visits USING (user_id) ORDER BY 1, 2, 3;
SELECT * FROM sessions NATURAL JOIN visits ORDER BY id, page;
SELECT s.*, v.hits FROM sessions s JOIN visits v ON v.user_id = s.user_id AND v.page = '/' ORDER BY s.id;
SELECT v.* FROM visits v JOIN users u ON u.id = v.user_id WHERE v.user_id = 1 AND v.page = '/about';
SELECT a.page, b.page FROM visits a JOIN visits b ON a.user_id = b.user_id AND a.page < b.page;
SELECT a.id FROM sessions a WHERE a.seconds > (SELECT avg(b.seconds) FROM sessions b) ORDER BY a.id;
-- params: int8 1
SELECT u.name, s.device FROM users u JOIN sessions s ON s.user_id = u.id WHERE u.id = $1 ORDER BY s.device;
-- params: uuid '11111111-1111-1111-1111-111111111111', text 'uk'
SELECT u.name, s.device FROM users u JOIN sessions s ON s.user_id = u.id WHERE s.id = $1 AND u.country = $2;
-- params: int8 1, int4 3
SELECT u.name, v.page, v.hits + $2 AS more FROM users u JOIN visits v ON v.user_id = u.id WHERE v.user_id = $1 ORDER BY v.page;

-- A function of the whole row, written as if it were a column of it.
CREATE FUNCTION described(visits) RETURNS text LANGUAGE sql STABLE AS $$ SELECT concat_ws(' ', $1.user_id, $1.page, $1.hits, $1.at AT TIME ZONE 'UTC') $$;
SELECT v.described FROM visits v ORDER BY v.user_id, v.page;
SELECT described(v) FROM visits v WHERE v.user_id = 1 ORDER BY v.page;
SELECT u.name, visits.described FROM users u JOIN visits ON user_id = u.id WHERE u.id = 3;

-- The key's type has another form for the number that the other store table has.
SELECT a.n, p.name FROM amounts a LEFT JOIN prices p ON p.price = a.n ORDER BY a.n, a.id;
SELECT a.n, p.name FROM amounts a JOIN prices p ON p.price = a.n WHERE a.id IN (1, 2, 5) ORDER BY a.id;

-- Subqueries.
SELECT name FROM users u WHERE EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id) ORDER BY name;
SELECT name FROM users u WHERE NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id) ORDER BY name;
SELECT name FROM users WHERE id IN (SELECT user_id FROM visits WHERE page = '/') ORDER BY name;
SELECT name FROM users WHERE id NOT IN (SELECT user_id FROM sessions) ORDER BY name;
SELECT name, (SELECT count(*) FROM visits v WHERE v.user_id = u.id) AS visits FROM users u ORDER BY id;
SELECT (SELECT device FROM sessions WHERE id = '11111111-1111-1111-1111-111111111111') AS device;
SELECT * FROM (SELECT user_id, sum(hits) AS hits FROM visits GROUP BY user_id) t WHERE hits > 1 ORDER BY user_id;
SELECT x.device FROM (SELECT * FROM sessions WHERE id = '11111111-1111-1111-1111-111111111111') x;
WITH busy AS (SELECT user_id FROM visits WHERE hits > 2) SELECT name FROM users JOIN busy ON busy.user_id = users.id ORDER BY name;
WITH sessions AS (SELECT 1 AS id) SELECT * FROM sessions;
WITH s AS MATERIALIZED (SELECT * FROM sessions), v AS (SELECT * FROM visits) SELECT count(*) FROM s, v;
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT n, (SELECT hits FROM visits WHERE user_id = n AND page = '/') FROM t ORDER BY n;
SELECT EXISTS (SELECT FROM sessions WHERE id = '11111111-1111-1111-1111-111111111111');

-- Grouping, windows, sets.
SELECT count(*), count(device), sum(seconds), avg(seconds), min(device), max(seconds) FROM sessions;
SELECT device, count(*) FROM sessions GROUP BY device ORDER BY device NULLS LAST;
SELECT device, count(*) FROM sessions GROUP BY device HAVING count(*) > 1;
SELECT u.country, sum(v.hits) FROM users u JOIN visits v ON v.user_id = u.id GROUP BY ROLLUP (u.country) ORDER BY u.country NULLS LAST;
SELECT user_id, page, rank() OVER (PARTITION BY page ORDER BY hits DESC) FROM visits ORDER BY page, rank, user_id;
SELECT user_id, hits, sum(hits) OVER (ORDER BY user_id, page) FROM visits ORDER BY user_id, page;
SELECT DISTINCT page FROM visits ORDER BY page;
SELECT DISTINCT ON (user_id) user_id, page FROM visits ORDER BY user_id, hits DESC;
SELECT user_id FROM sessions UNION SELECT user_id FROM visits ORDER BY user_id;
SELECT user_id FROM sessions UNION ALL SELECT id FROM users ORDER BY user_id;
SELECT user_id FROM visits EXCEPT SELECT user_id FROM sessions ORDER BY 1;
SELECT user_id FROM visits INTERSECT SELECT id FROM users ORDER BY 1;
SELECT string_agg(page, ',' ORDER BY page) FROM visits WHERE user_id = 1;
SELECT json_agg(s ORDER BY id) FROM sessions s;
SELECT count(*) FILTER (WHERE hits > 1) FROM visits;
SELECT array_agg(DISTINCT device ORDER BY device) FROM sessions;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY hits) FROM visits;

-- Expressions.
SELECT upper(device) || '?' AS shout, seconds / 3, seconds % 7, seconds ^ 2, -seconds FROM sessions ORDER BY id;
SELECT CASE WHEN seconds > 15 THEN 'long' WHEN seconds IS NULL THEN 'none' ELSE 'short' END FROM sessions ORDER BY id;
SELECT coalesce(device, 'unknown'), nullif(device, 'phone') FROM sessions ORDER BY id;
SELECT seconds / 0 FROM sessions WHERE id = '11111111-1111-1111-1111-111111111111';
SELECT device FROM sessions WHERE device SIMILAR TO 'p(h|o)%' ORDER BY id;
SELECT device FROM sessions WHERE device ~ '^p' ORDER BY id;
SELECT at + interval '1 month', date_trunc('month', at), to_char(at, 'DD.MM.YYYY') FROM visits WHERE user_id = 1 ORDER BY page;
SELECT 'sessions' AS "sessions", 'from visits' AS visits;
SELECT count(*) FROM sessions WHERE 'sessions' = 'sessions' /* FROM visits */ -- sessions
;
SELECT s.id FROM sessions s ORDER BY s.seconds DESC NULLS LAST, s.id OFFSET 1 FETCH FIRST 2 ROWS ONLY;
SELECT nosuch FROM sessions s JOIN users u ON u.id = s.user_id;
SELECT * FROM sessions JOIN nosuch ON true;
SELECT sessions.id FROM sessions s;
SELECT device FROM sessions WHERE seconds = 'x';
SELECT device, count(*) FROM sessions;
SELECT * FROM sessions WHERE id = '11111111-1111-1111-1111-111111111111' FOR UPDATE;
SELECT s.id, u.id FROM sessions s JOIN users u ON u.id = s.user_id ORDER BY s.id FOR NO KEY UPDATE OF s, u SKIP LOCKED;
SELECT device FROM sessions AS s WHERE id = '11111111-1111-1111-1111-111111111111' FOR KEY SHARE OF s NOWAIT;
SELECT device FROM sessions FOR UPDATE OF nosuch;
SELECT count(*) FROM sessions FOR SHARE;
TABLE sessions ORDER BY id;
VALUES ((SELECT count(*) FROM sessions));

-- Writes that read elsewhere.
INSERT INTO archive SELECT id, user_id, device FROM sessions WHERE user_id = 1;
SELECT * FROM archive ORDER BY id;
-- sorted
INSERT INTO archive SELECT id, user_id, device FROM sessions ON CONFLICT DO NOTHING RETURNING user_id;
INSERT INTO sessions SELECT gen.id, u.id, 'auto', 1 FROM users u JOIN (VALUES (3, uuid '55555555-5555-5555-5555-555555555555'), (4, uuid '66666666-6666-6666-6666-666666666666')) gen(n, id) ON gen.n = u.id;
INSERT INTO sessions (id, user_id, device) SELECT uuid '77777777-7777-7777-7777-777777777777', user_id, 'copy of ' || device FROM sessions WHERE id = '11111111-1111-1111-1111-111111111111' RETURNING *;
INSERT INTO sessions SELECT * FROM sessions WHERE id = '11111111-1111-1111-1111-111111111111';
INSERT INTO visits (user_id, page) SELECT id, '/new' FROM users WHERE country IS NOT NULL;
INSERT INTO visits (user_id, page) SELECT id, '/new' FROM users ON CONFLICT (user_id, page) DO UPDATE SET hits = visits.hits + 1;
-- params: text '/param', int8 2
INSERT INTO visits (user_id, page) SELECT id, $1 FROM users WHERE id <= $2 RETURNING user_id, page, hits;
SELECT * FROM visits ORDER BY user_id, page;
UPDATE sessions SET device = u.name FROM users u WHERE u.id = sessions.user_id AND u.country = 'uk';
UPDATE sessions s SET seconds = v.hits FROM visits v WHERE v.user_id = s.user_id AND v.page = '/';
UPDATE users SET name = name || ' (' || s.device || ')' FROM sessions s WHERE s.user_id = users.id AND s.id = '33333333-3333-3333-3333-333333333333' RETURNING users.*;
UPDATE users SET country = (SELECT device FROM sessions WHERE id = '33333333-3333-3333-3333-333333333333') WHERE id = 4;
UPDATE sessions SET seconds = (SELECT count(*) FROM users) WHERE id = '44444444-4444-4444-4444-444444444444' RETURNING seconds;
-- params: text 'us', int4 5
UPDATE sessions s SET seconds = seconds + $2 FROM users u WHERE u.id = s.user_id AND u.country = $1 RETURNING s.id, s.seconds;
SELECT * FROM users ORDER BY id;
SELECT * FROM sessions ORDER BY id;
DELETE FROM sessions USING users WHERE users.id = sessions.user_id AND users.country = 'us';
-- sorted
DELETE FROM sessions s USING visits v WHERE v.user_id = s.user_id AND v.page = '/about' RETURNING s.id, v.page;
DELETE FROM users USING sessions s WHERE s.user_id = users.id AND s.device = 'phone';
DELETE FROM visits WHERE user_id NOT IN (SELECT id FROM users);
DELETE FROM archive WHERE id IN (SELECT id FROM sessions);
SELECT * FROM archive ORDER BY id;
SELECT * FROM visits ORDER BY user_id, page;
SELECT * FROM users ORDER BY id;
WITH gone AS (DELETE FROM sessions WHERE user_id = 9 RETURNING *) SELECT user_id, device FROM gone;
WITH new AS (INSERT INTO visits (user_id, page) VALUES (50, '/w') RETURNING *) SELECT user_id, hits FROM new;
-- sorted
WITH new AS (INSERT INTO visits (user_id, page) VALUES (50, '/w'), (50, '/x') ON CONFLICT DO NOTHING RETURNING *) SELECT user_id, page, hits FROM new;
WITH new AS (INSERT INTO visits AS v (user_id, page) VALUES (50, '/w') ON CONFLICT (user_id, page) DO UPDATE SET hits = v.hits + 10 RETURNING *) SELECT user_id, hits FROM new;
WITH new AS (INSERT INTO visits (user_id, page) VALUES (50, '/w'), (50, '/w') ON CONFLICT (user_id, page) DO UPDATE SET hits = 0 WHERE visits.hits < 0 RETURNING *) SELECT count(*) FROM new;
-- Two rows of a key that is there: neither is inserted, so they don't meet.
INSERT INTO visits (user_id, page) VALUES (50, '/w'), (50, '/w') ON CONFLICT (user_id, page) DO UPDATE SET hits = 0 WHERE visits.hits < 0;
INSERT INTO visits (page, user_id, hits) VALUES ('/w', 50, 1), ('/w', 50, 2) ON CONFLICT (user_id, page) DO UPDATE SET hits = NULL;
INSERT INTO visits (user_id, page) VALUES (50, '/w'), (50, '/w') ON CONFLICT (user_id, page) DO UPDATE SET hits = visits.hits + 1;
WITH src AS (SELECT 51 AS id) INSERT INTO visits (user_id, page) SELECT id, '/src' FROM src RETURNING user_id;
CREATE TABLE copied AS SELECT user_id, page FROM visits;
SELECT * FROM copied ORDER BY 1, 2;
SELECT user_id INTO copied2 FROM visits;
SELECT count(*) FROM copied2;
CREATE TEMP TABLE picked (user_id bigint);
INSERT INTO picked VALUES (1), (2);
SELECT p.user_id, v.page FROM picked p JOIN visits v USING (user_id) ORDER BY 1, 2;

-- A temporary table of a store table's name is another table, and hides it.
SELECT count(*) FROM sessions;
CREATE TEMP TABLE sessions AS SELECT id, device FROM sessions WHERE device = 'phone';
SELECT count(*), min(device) FROM sessions;
INSERT INTO sessions SELECT id, 'temporary' FROM public.sessions WHERE device IS DISTINCT FROM 'phone';
SELECT count(*), max(device) FROM sessions;
SELECT count(*), max(device) FROM public.sessions;
DROP TABLE sessions;
SELECT count(*), max(device) FROM sessions;
CREATE TEMPORARY TABLE IF NOT EXISTS visits (a int PRIMARY KEY, b text) ON COMMIT PRESERVE ROWS;
INSERT INTO visits VALUES (1, 'x') ON CONFLICT (a) DO UPDATE SET b = 'y';
UPDATE visits SET b = b || 'z' RETURNING *;
SELECT * FROM visits;
TRUNCATE visits;
SELECT count(*) FROM visits;
DROP TABLE visits;
SELECT count(*) FROM visits;
CREATE TABLE pg_temp.visits (LIKE visits INCLUDING DEFAULTS);
SELECT count(*) FROM visits;
SELECT count(*) FROM public.visits;

-- Notices of what PostgreSQL runs.
CREATE FUNCTION told(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'told %', n; RETURN n; END $$;
SELECT sum(told(hits)) FROM public.visits WHERE user_id = 2;
