-- Keys that come from a subquery, and subqueries whose keys come from the query around them.
-- table: public.sessions
-- table: public.visits

CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, country text, manager bigint);
CREATE TABLE notes (visitor int, body text);
CREATE TABLE sessions (id text PRIMARY KEY, user_id bigint NOT NULL, device text);
CREATE TABLE visits (user_id bigint, page text, hits int NOT NULL DEFAULT 1, PRIMARY KEY (user_id, page));

INSERT INTO users VALUES (1, 'ada', 'uk', NULL), (2, 'linus', 'fi', 1), (3, 'grace', 'us', 1), (4, 'nobody', NULL, 3);
INSERT INTO notes VALUES (1, 'one'), (2, 'two'), (2, 'again'), (NULL, 'none'), (77, 'gone');
INSERT INTO sessions VALUES ('a', 1, 'phone'), ('b', 1, 'desk'), ('c', 2, 'phone'), ('d', 9, NULL);
INSERT INTO visits VALUES (1, '/', 5), (1, '/about', 2), (2, '/', 1), (3, '/', 7), (8, '/', 1);

-- Keys from PostgreSQL.
SELECT * FROM visits WHERE user_id IN (SELECT id FROM users WHERE country = 'uk') ORDER BY page;
SELECT * FROM visits v WHERE v.user_id = ANY (SELECT u.id FROM users u WHERE u.name > 'b') ORDER BY 1, 2;
SELECT * FROM visits v WHERE v.user_id = SOME ((SELECT u.id FROM users u WHERE u.name > 'b')) ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (SELECT visitor FROM notes) ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (SELECT visitor FROM notes WHERE body LIKE '%n%') AND page = '/' ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (SELECT id FROM users ORDER BY name DESC LIMIT 1);
SELECT * FROM visits WHERE user_id IN (SELECT max(id) FROM users);
SELECT * FROM visits WHERE user_id IN (SELECT manager FROM users GROUP BY manager HAVING count(*) > 1) ORDER BY page;
SELECT * FROM visits WHERE user_id IN (SELECT u.id FROM users u JOIN notes n ON n.visitor = u.id WHERE n.body = 'two');
SELECT * FROM visits WHERE user_id IN (SELECT n.visitor FROM users u LEFT JOIN notes n ON n.visitor = u.id AND n.body = 'two');
SELECT * FROM visits WHERE user_id IN (SELECT id FROM users UNION SELECT 8) ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (WITH uk AS (SELECT * FROM users WHERE country = 'uk') SELECT id FROM uk) ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id NOT IN (SELECT id FROM users) ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (SELECT id FROM users WHERE country = 'uk') OR hits = 7 ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (SELECT hits) ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (SELECT hits FROM users) ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (SELECT id FROM users WHERE hits = 5) ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (SELECT id FROM users WHERE page = '/' AND name = 'ada') ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (SELECT manager FROM users WHERE id = 2) ORDER BY 1, 2;
SELECT * FROM visits WHERE (user_id, page) IN (SELECT id, '/' FROM users) ORDER BY 1, 2;
SELECT * FROM visits WHERE user_id IN (SELECT name FROM users);
-- params: text 'uk', int8 3
SELECT * FROM visits WHERE user_id IN (SELECT id FROM users WHERE country = $1 AND id < $2) ORDER BY page;
-- params: int8 1
SELECT * FROM visits WHERE user_id IN (SELECT id FROM users WHERE id = $1) ORDER BY page;

-- Rows that exist elsewhere.
SELECT * FROM visits v WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = v.user_id AND u.country = 'us');
SELECT * FROM visits v WHERE EXISTS (SELECT FROM users WHERE id = v.user_id AND name <> 'ada') ORDER BY 1, 2;
SELECT * FROM visits v WHERE EXISTS (SELECT u.name FROM users u, notes n WHERE n.visitor = u.id AND v.user_id = u.id) ORDER BY 1, 2;
SELECT * FROM visits v WHERE EXISTS (SELECT count(*) FROM users u WHERE u.id = v.user_id AND u.country = 'us') ORDER BY 1, 2;
SELECT * FROM visits v WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = v.user_id HAVING count(*) = 0) ORDER BY 1, 2;
SELECT * FROM visits v WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = v.user_id OFFSET 1);
SELECT * FROM visits v WHERE EXISTS (SELECT 1 FROM users v WHERE v.id = v.manager) ORDER BY 1, 2;
SELECT * FROM visits v WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = v.user_id) ORDER BY 1, 2;
SELECT * FROM visits v WHERE EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = v.user_id AND s.id = 'c');
SELECT * FROM visits WHERE user_id IN (SELECT user_id FROM sessions WHERE id IN ('a', 'd')) ORDER BY page;
SELECT * FROM visits WHERE user_id IN (SELECT user_id FROM sessions WHERE device = 'phone') ORDER BY 1, 2;
SELECT a.* FROM visits a WHERE a.user_id IN (SELECT b.user_id FROM visits b WHERE b.hits > 4) ORDER BY 1, 2;
SELECT * FROM sessions WHERE id IN (SELECT CASE WHEN id = 1 THEN 'a' ELSE 'c' END FROM users) ORDER BY id;

-- Keys from the query around it.
SELECT name, (SELECT sum(hits) FROM visits v WHERE v.user_id = u.id) AS hits FROM users u ORDER BY id;
SELECT name, (SELECT count(*) FROM visits WHERE user_id = u.id) AS pages FROM users u WHERE u.country = 'uk';
SELECT name FROM users u WHERE EXISTS (SELECT 1 FROM visits v WHERE v.user_id = u.id AND v.page = '/about');
SELECT name FROM users u WHERE NOT EXISTS (SELECT 1 FROM visits v WHERE v.user_id = u.id) ORDER BY name;
SELECT name FROM users WHERE id IN (SELECT user_id FROM visits WHERE page = '/') ORDER BY name;
SELECT name FROM users WHERE id NOT IN (SELECT user_id FROM visits WHERE page = '/') ORDER BY name;
SELECT name FROM users WHERE id IN (SELECT user_id FROM visits ORDER BY hits DESC, user_id LIMIT 2) ORDER BY name;
SELECT name FROM users WHERE id IN (SELECT user_id FROM visits GROUP BY user_id HAVING count(*) > 1);
SELECT name FROM users WHERE id IN (SELECT DISTINCT ON (page) user_id FROM visits ORDER BY page, hits, user_id) ORDER BY name;
SELECT name FROM users WHERE manager IN (SELECT v.user_id FROM visits v WHERE v.hits > 1) ORDER BY name;
SELECT u.name, v.page FROM users u CROSS JOIN LATERAL (SELECT page FROM visits WHERE visits.user_id = u.id ORDER BY hits DESC LIMIT 1) v ORDER BY u.id;
SELECT u.name, v.page FROM users u LEFT JOIN LATERAL (SELECT page FROM visits WHERE visits.user_id = u.manager ORDER BY hits LIMIT 1) v ON true ORDER BY u.id;
SELECT n.body, (SELECT count(*) FROM visits v WHERE v.user_id = n.visitor) FROM notes n LEFT JOIN users u ON u.id = n.visitor AND u.id = 1 ORDER BY body;
SELECT n.body, (SELECT count(*) FROM visits v WHERE v.user_id = u.id) FROM notes n LEFT JOIN users u ON u.id = n.visitor AND u.id = 1 ORDER BY body;
SELECT n.body, (SELECT count(*) FROM visits v WHERE v.user_id = u.id) FROM notes n FULL JOIN users u ON u.id = n.visitor ORDER BY body, 2;
SELECT (SELECT string_agg(u.body || c.n, ',' ORDER BY (SELECT sum(hits) FROM visits v WHERE v.user_id = u.visitor), u.body) FROM notes u, (SELECT 1 AS n) c) FROM users u WHERE u.id = 3;
SELECT (SELECT string_agg(x.body, ',') FROM notes x, (SELECT count(*) AS n FROM visits v WHERE v.user_id = u.id) c WHERE c.n > 0 AND x.body = 'one') FROM users u ORDER BY id;
SELECT u.name FROM users u WHERE (SELECT count(*) FROM visits v WHERE v.user_id = u.id AND EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = v.user_id AND s.user_id = u.id)) > 1;
SELECT name FROM users u ORDER BY (SELECT sum(hits) FROM visits v WHERE v.user_id = u.id) DESC NULLS LAST, name;
SELECT (SELECT name FROM users u WHERE u.id = o.id ORDER BY (SELECT sum(hits) FROM visits v WHERE v.user_id = u.manager) LIMIT 1) FROM users o ORDER BY id;
WITH busy AS (SELECT user_id FROM visits v WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = v.user_id AND u.country = 'uk')) SELECT count(*) FROM busy;
SELECT name FROM users u WHERE u.id = 1 UNION ALL SELECT page FROM visits v WHERE v.user_id IN (SELECT id FROM users u WHERE u.id = 2) ORDER BY 1;

-- Writes.
UPDATE visits SET hits = hits + 10 WHERE user_id IN (SELECT id FROM users WHERE country = 'uk');
UPDATE visits v SET hits = s.seen FROM (SELECT user_id, count(*) AS seen FROM sessions GROUP BY user_id) s WHERE s.user_id = v.user_id AND v.page = '/about';
UPDATE visits v SET hits = hits + 1 FROM sessions s WHERE s.user_id = v.user_id AND s.id = 'c';
DELETE FROM visits v USING sessions s WHERE s.user_id = v.user_id AND s.id = 'a' AND v.page = '/about';
DELETE FROM visits WHERE user_id IN (SELECT user_id FROM sessions WHERE id = 'c');
DELETE FROM sessions WHERE EXISTS (SELECT 1 FROM users u WHERE u.name = sessions.id);
DELETE FROM visits v WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = v.user_id AND u.country = 'us') RETURNING *;
UPDATE users u SET country = (SELECT device FROM sessions s WHERE s.user_id = u.id ORDER BY s.id LIMIT 1) WHERE u.id < 3 RETURNING id, country;
INSERT INTO visits SELECT id, '/new', (SELECT count(*) FROM sessions s WHERE s.user_id = u.id) FROM users u WHERE u.id IN (SELECT user_id FROM visits);
