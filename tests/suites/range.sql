-- Ranges of one partition: a partition key, and a sort key with an order.
-- table: public.history
-- table: public.readings
-- table: public.notes
-- table: public.versions

CREATE TABLE history (user_id bigint, at timestamptz, query text NOT NULL, results int, PRIMARY KEY (user_id, at));
CREATE TABLE readings (sensor text, n int, value double precision, PRIMARY KEY (sensor, n));
CREATE TABLE notes (owner uuid, title text COLLATE "C", body text, PRIMARY KEY (owner, title));
CREATE TABLE versions (app text, major int, minor int, price numeric(6,2), PRIMARY KEY (app, major, minor));

INSERT INTO history VALUES (1, '2026-01-01 00:00+00', 'a', 1), (1, '2026-01-02 03:04+00', 'b', 2), (1, '2026-01-02 03:04:05.5+00', 'c', NULL), (1, '1969-01-01 00:00+00', 'old', 0);
INSERT INTO history VALUES (1, '2026-02-01 12:00+02', 'd', 5), (2, '2026-01-01 00:00+00', 'other', 1), (-1, '2026-01-01 00:00+00', 'minus', 1);
-- params: int8 1, timestamptz '2026-03-01 00:00:00.000001+00', text 'p', int4 7
INSERT INTO history VALUES ($1, $2, $3, $4);

SELECT * FROM history WHERE user_id = 1 ORDER BY at;
SELECT * FROM history WHERE user_id = 1 ORDER BY at DESC;
SELECT * FROM history WHERE user_id = 1 ORDER BY at DESC LIMIT 2;
SELECT * FROM history WHERE user_id = 1 ORDER BY at LIMIT 2 OFFSET 1;
SELECT query FROM history WHERE user_id = 1 ORDER BY at ASC NULLS FIRST LIMIT 3;
SELECT query FROM history WHERE user_id = 1 ORDER BY at DESC NULLS LAST LIMIT 3;
SELECT query FROM history WHERE user_id = 1 ORDER BY user_id, at LIMIT 3;
SELECT query FROM history WHERE user_id = 1 ORDER BY query DESC LIMIT 2;
SELECT query FROM history WHERE user_id = 1 ORDER BY 1 LIMIT 2;
SELECT query AS at FROM history WHERE user_id = 1 ORDER BY at LIMIT 2;
SELECT query FROM history WHERE user_id = -1;
SELECT query FROM history WHERE user_id = 99 ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at = '2026-01-02 03:04 UTC';
SELECT query FROM history WHERE user_id = 1 AND at = '2026-01-02 04:04 Europe/Berlin';
SELECT query FROM history WHERE user_id = 1 AND at = timestamptz '2026-01-02T03:04:00Z';
SELECT query FROM history WHERE user_id = 1 AND at = '02-Jan-2026 03:04+00';
SELECT query FROM history WHERE user_id = 1 AND at > '2026-01-02 03:04 Europe/Berlin' ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at >= '2026-01-02 03:04+00' ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at < '2026-01-02' ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at <= '2026-01-01' ORDER BY at DESC;
SELECT query FROM history WHERE user_id = 1 AND at BETWEEN '2026-01-01' AND '2026-01-31' ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at BETWEEN '2026-01-31' AND '2026-01-01' ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at > '2026-01-01' AND at < '2026-02-01' ORDER BY at DESC LIMIT 1;
SELECT query FROM history WHERE user_id = 1 AND at > '2026-01-01' AND at > '2026-01-02 03:04:01+00' ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at > NULL ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at > 'infinity' ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at > '-infinity' ORDER BY at LIMIT 1;
SELECT query FROM history WHERE user_id = 1 AND at > 'no time' ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at <> '2026-01-01' ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND at > '2026-01-01' AND results > 1 ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND results IS NULL ORDER BY at;
SELECT query FROM history WHERE user_id = 1 AND (at < '2020-01-01' OR results = 5) ORDER BY at;
-- sorted
SELECT query FROM history WHERE user_id IN (1, 2) AND at = '2026-01-01';
SELECT query FROM history WHERE user_id IN (1, 2) ORDER BY at, query;
SELECT query FROM history WHERE user_id = 1 AND at IN ('2026-01-01', '2026-02-01 10:00+00') ORDER BY at;
SELECT user_id, max(at), count(*) FROM history GROUP BY user_id ORDER BY user_id;
-- params: int8 1, timestamptz '2026-01-01 12:00+00', int8 2
SELECT * FROM history WHERE user_id = $1 AND at > $2 ORDER BY at LIMIT $3;
-- params: int8 1, timestamptz NULL
SELECT * FROM history WHERE user_id = $1 AND at > $2 ORDER BY at;
-- params: int8 1, timestamptz '2026-01-01', timestamptz '2026-01-31'
SELECT query FROM history WHERE user_id = $1 AND at BETWEEN $2 AND $3 ORDER BY at DESC;
-- params: int8 1, int8 NULL
SELECT query FROM history WHERE user_id = $1 ORDER BY at LIMIT $2;
-- params: int8 1, int8 2
SELECT query FROM history WHERE user_id = $1 ORDER BY at LIMIT 2 OFFSET $2;
-- params: int4 1, date '2026-01-02'
SELECT query FROM history WHERE user_id = $1 AND at >= $2 ORDER BY at;
SET TimeZone = 'America/New_York';
SELECT query, at FROM history WHERE user_id = 1 AND at >= '2026-01-01' ORDER BY at;
SELECT query, at FROM history WHERE user_id = 1 AND at = '2026-01-01 22:04';
RESET TimeZone;
UPDATE history SET results = results + 1 WHERE user_id = 1 AND at < '2026-01-02';
UPDATE history SET query = query || '!' WHERE user_id = 1 AND at > '2026-01-02 03:04+00';
DELETE FROM history WHERE user_id = 1 AND at < '2000-01-01' RETURNING query;
DELETE FROM history WHERE user_id = 1 AND at BETWEEN '2026-01-02' AND '2026-01-03';
SELECT * FROM history WHERE user_id = 1 ORDER BY at;

INSERT INTO readings VALUES ('a', 0, 0), ('a', -1, 1.5), ('a', -10, 2), ('a', 10, 'NaN'), ('a', 9, NULL), ('a', 100, -0.0), ('a', 2147483647, 1e300), ('a', -2147483648, 1), ('ä', 1, 1), ('A', 1, 1);
-- not: dynamodb, dynoxide
INSERT INTO readings VALUES ('', 1, 1);
SELECT * FROM readings WHERE sensor = 'a' ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' ORDER BY n DESC LIMIT 3;
SELECT n FROM readings WHERE sensor = 'a' AND n > -10 AND n <= 10 ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' AND n < 0 ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' AND n BETWEEN -1 AND 9 ORDER BY n DESC;
SELECT n FROM readings WHERE sensor = 'a' AND n > 1.5 ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' AND n > -1.5 AND n < 9.5 ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' AND n >= 3000000000 ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' AND n <= 3000000000 ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' AND n > 2 + 3 ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' AND 0 < n ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' AND n > '5' ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' AND value > 1 ORDER BY n;
SELECT n FROM readings WHERE sensor = 'a' AND value >= 'NaN' ORDER BY n;
SELECT * FROM readings WHERE sensor = 'ä';
-- not: dynamodb, dynoxide
SELECT * FROM readings WHERE sensor = '' AND n = 1;
-- params: text 'a', int4 -5
SELECT n FROM readings WHERE sensor = $1 AND n >= $2 ORDER BY n;
-- params: text 'a', int8 3000000000
SELECT n FROM readings WHERE sensor = $1 AND n < $2 ORDER BY n;
-- params: varchar 'a', float8 0.5
SELECT n FROM readings WHERE sensor = $1 AND n > $2 ORDER BY n;

INSERT INTO notes VALUES ('11111111-1111-1111-1111-111111111111', 'b', '1'), ('11111111-1111-1111-1111-111111111111', 'B', '2'), ('11111111-1111-1111-1111-111111111111', 'ab', '3'), ('11111111-1111-1111-1111-111111111111', 'ä', '4'), ('11111111-1111-1111-1111-111111111111', 'a', '5'), ('11111111-1111-1111-1111-111111111111', 'a b', '6'), ('11111111-1111-1111-1111-111111111111', '世', '7'), ('11111111-1111-1111-1111-111111111111', '🌍', '8');
SELECT title FROM notes WHERE owner = '11111111-1111-1111-1111-111111111111' ORDER BY title;
SELECT title FROM notes WHERE owner = '11111111-1111-1111-1111-111111111111' ORDER BY title DESC LIMIT 3;
SELECT title FROM notes WHERE owner = '11111111-1111-1111-1111-111111111111' AND title >= 'a' AND title < 'b' ORDER BY title;
SELECT title FROM notes WHERE owner = '11111111-1111-1111-1111-111111111111' AND title LIKE 'a%' ORDER BY title;
SELECT title FROM notes WHERE owner = '11111111-1111-1111-1111-111111111111' AND title > 'ä' ORDER BY title;
SELECT title FROM notes WHERE owner = '11111111-1111-1111-1111-111111111111' AND lower(title) = 'b' ORDER BY title;
SELECT title FROM notes WHERE owner = '11111111-1111-1111-1111-111111111111' ORDER BY title COLLATE "en_US.utf8";

INSERT INTO versions VALUES ('x', 1, 0, 1), ('x', 1, 1, 1.5), ('x', 1, 10, 2), ('x', 2, 0, 3), ('x', 10, 0, 10), ('x', -1, 5, 0), ('y', 1, 0, NULL);
SELECT * FROM versions WHERE app = 'x' ORDER BY major, minor;
SELECT * FROM versions WHERE app = 'x' ORDER BY major DESC, minor DESC LIMIT 2;
SELECT * FROM versions WHERE app = 'x' ORDER BY major DESC, minor;
SELECT * FROM versions WHERE app = 'x' AND major = 1 ORDER BY minor;
SELECT * FROM versions WHERE app = 'x' AND major = 1 ORDER BY minor DESC LIMIT 1;
SELECT * FROM versions WHERE app = 'x' AND major = 1 AND minor > 0 ORDER BY minor;
SELECT * FROM versions WHERE app = 'x' AND major > 1 ORDER BY major, minor;
SELECT * FROM versions WHERE app = 'x' AND minor = 0 ORDER BY major;
SELECT * FROM versions WHERE app = 'x' AND (major, minor) > (1, 1) ORDER BY major, minor;
SELECT * FROM versions WHERE app = 'x' AND major = 1 AND minor = 10;
SELECT sum(price), avg(price) FROM versions WHERE app = 'x' AND major <= 1;

-- Numbers that the key's type doesn't have equal no key.
SELECT n FROM readings WHERE sensor = 'a' AND n = 3000000000;
SELECT count(*) FROM readings WHERE sensor = 'a' AND n = 1.5;
-- params: int8 3000000000
SELECT count(*) FROM readings WHERE sensor = 'a' AND n = $1::int8;
