-- Views over store tables.
-- table: public.sessions
-- table: public.visits

CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE sessions (id text PRIMARY KEY, user_id bigint NOT NULL, device text);
CREATE TABLE visits (user_id bigint, page text, hits int NOT NULL DEFAULT 1, PRIMARY KEY (user_id, page));
INSERT INTO users VALUES (1, 'ada'), (2, 'linus'), (3, 'grace');
INSERT INTO sessions VALUES ('a', 1, 'phone'), ('b', 1, 'desk'), ('c', 2, 'phone'), ('d', 9, NULL);
INSERT INTO visits VALUES (1, '/', 5), (1, '/about', 2), (2, '/', 1), (3, '/', 7);

CREATE VIEW live AS SELECT id, user_id AS owner, device FROM sessions WHERE device IS NOT NULL;
CREATE VIEW totals (who, pages, hits) AS SELECT user_id, count(*), sum(hits) FROM visits GROUP BY user_id;
CREATE OR REPLACE VIEW owners AS SELECT u.name, l.id, l.device FROM users u LEFT JOIN live l ON l.owner = u.id;
CREATE VIEW ranked AS SELECT user_id, page, rank() OVER (ORDER BY hits DESC) AS place FROM visits;
CREATE VIEW top AS SELECT user_id, page FROM visits ORDER BY hits DESC LIMIT 1;
CREATE VIEW both_kinds AS SELECT id, user_id FROM sessions UNION ALL SELECT page, user_id FROM visits;
CREATE VIEW names AS SELECT name FROM users;

-- sorted
SELECT * FROM live;
SELECT * FROM live WHERE id = 'a';
SELECT l.device, l.owner FROM public.live AS l WHERE l.id IN ('a', 'd') ORDER BY 1;
SELECT "live"."id" FROM "live" WHERE owner = 1 ORDER BY id;
SELECT x.k FROM live AS x (k, o) WHERE x.k > 'a' ORDER BY k;
SELECT count(*) FROM live, live other;
SELECT * FROM totals ORDER BY who;
SELECT * FROM totals WHERE who = 1;
SELECT t.hits, u.name FROM totals t JOIN users u ON u.id = t.who ORDER BY u.name;
SELECT * FROM owners ORDER BY name, id;
SELECT * FROM owners WHERE id = 'c';
SELECT * FROM owners WHERE id IS NULL;
SELECT * FROM ranked WHERE user_id = 1 ORDER BY place;
SELECT * FROM top WHERE user_id = 1;
SELECT * FROM both_kinds WHERE user_id = 1 ORDER BY id;
SELECT * FROM names ORDER BY name;
-- sorted
TABLE totals;
SELECT u.name, l.device FROM users u JOIN live l ON l.owner = u.id WHERE l.id = 'a';
SELECT u.name, (SELECT count(*) FROM live WHERE owner = u.id) AS devices FROM users u ORDER BY 1;
SELECT name FROM users WHERE id IN (SELECT owner FROM live WHERE device = 'phone') ORDER BY name;
SELECT name FROM users WHERE id IN (SELECT who FROM totals WHERE hits > 1) ORDER BY name;
WITH l AS (SELECT * FROM live WHERE id < 'c') SELECT count(*) FROM l;
-- params: text 'b'
SELECT owner, device FROM live WHERE id = $1;
INSERT INTO users SELECT owner + 100, device FROM live WHERE id = 'b';
UPDATE visits SET hits = hits + 1 FROM live WHERE live.owner = visits.user_id AND live.id = 'c';
DELETE FROM visits WHERE user_id IN (SELECT owner FROM live WHERE id = 'c');
SELECT nothing FROM live;
CREATE VIEW live AS SELECT 1;

-- Subqueries in FROM, whose conditions are outside.
SELECT * FROM (SELECT * FROM visits) v WHERE v.user_id = 1 ORDER BY page;
SELECT * FROM (SELECT user_id AS u, page AS p FROM visits) v WHERE u = 1 AND p > '/' ORDER BY p;
SELECT * FROM (SELECT user_id, sum(hits) AS user_hits FROM visits GROUP BY user_id) v WHERE user_id = 1;
SELECT * FROM (SELECT user_id, hits FROM visits ORDER BY hits DESC LIMIT 1) v WHERE user_id = 1;
SELECT * FROM (SELECT DISTINCT ON (page) user_id, page FROM visits ORDER BY page, hits DESC, user_id) v WHERE v.user_id = 1;
SELECT * FROM (SELECT user_id, count(*) OVER () FROM visits) v WHERE v.user_id = 1;
SELECT * FROM (SELECT user_id + 1 AS user_id, page FROM visits) v WHERE v.user_id = 2 ORDER BY page;
SELECT u.name, v.page FROM users u JOIN (SELECT user_id, page FROM visits) v ON v.user_id = u.id AND u.id = 1 ORDER BY page;
SELECT u.name, v.page FROM users u LEFT JOIN (SELECT user_id, page FROM visits) v ON v.user_id = u.id AND v.user_id = 1 ORDER BY u.id, page;
SELECT v.page FROM (SELECT v.user_id, v.page FROM visits v JOIN users u ON u.id = 1) v JOIN users u ON u.id = v.user_id ORDER BY u.id, page;
SELECT u.name FROM users u WHERE u.id IN (SELECT v.user_id FROM visits v JOIN users u ON u.id = 1) ORDER BY name;
SELECT name FROM users WHERE id IN (SELECT v.user_id FROM visits v JOIN users ON users.id = 1) ORDER BY name;

-- What a view isn't any more.
BEGIN;
INSERT INTO sessions VALUES ('e', 3, 'watch');
SELECT * FROM live WHERE owner = 3;
ROLLBACK;
SELECT * FROM live WHERE owner = 3;
CREATE OR REPLACE VIEW live AS SELECT id, user_id AS owner, device FROM sessions WHERE device = 'phone';
SELECT * FROM live ORDER BY id;
DROP VIEW live CASCADE;
SELECT * FROM live;

-- Joins in parentheses.
SELECT u.name, v.page FROM (users u JOIN visits v ON v.user_id = u.id) WHERE u.id = 1 ORDER BY page;
SELECT u.name, v.page, s.id FROM (users u LEFT JOIN (visits v JOIN sessions s ON s.user_id = v.user_id) ON v.user_id = u.id) ORDER BY 1, 2, 3;
SELECT u.name, v.page FROM users u LEFT JOIN (visits v LEFT JOIN sessions s ON s.user_id = v.user_id AND s.id = 'a') ON v.user_id = u.id AND u.id = 1 ORDER BY 1, 2;
SELECT name FROM users u WHERE EXISTS (SELECT 1 FROM (visits v JOIN sessions s USING (user_id)) WHERE v.user_id = u.id) ORDER BY name;
