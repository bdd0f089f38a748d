-- Columns of every kind of type: arrays (not of a database's own types, whose numbers are part of their binary form), enums, domains, ranges, composites, addresses, and what an extension brings.
-- table: public.arrays
-- table: public.kinds
-- table: public.spans
-- table: public.nets
-- table: public.bits
-- table: public.deep

CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'it''s "so" so');
CREATE TYPE point3 AS (x int, y numeric, label text);
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN name_text AS varchar(5) NOT NULL;

CREATE TABLE arrays (id int PRIMARY KEY, i2 smallint[], i8 bigint[], f8 float8[], n numeric[], n2 numeric(10,2)[], u uuid[], t text[], v varchar(3)[], b boolean[], j jsonb[], ts timestamptz[], d date[], y bytea[]);
INSERT INTO arrays VALUES (1, '{1,NULL,-32768}', '{9223372036854775807}', '{0.1,NaN,-Infinity,1e300}', '{1.50,NaN,1e40}', '{1.5,2}', '{123e4567-e89b-12d3-a456-426614174000,NULL}', '{"a,b","c\"d",NULL,"null","","{}"," x "}', '{abc}', '{t,f,NULL}', '{"{\"a\": 1.50}","null",NULL}', '{"2026-01-02 03:04:05.678901+00",infinity}', '{2026-01-02,"0044-03-15 BC"}', '{"\\x00ff",""}');
INSERT INTO arrays VALUES (2, '{{1,2},{3,4}}', '[2:3]={7,8}', '{}', '{}', NULL, '{}', '{{a,b},{c,d}}', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO arrays (id, v) VALUES (3, '{abcd}');
SELECT * FROM arrays WHERE id = 1;
SELECT * FROM arrays WHERE id = 2;
SELECT * FROM arrays ORDER BY id;
SELECT id, i8[2], t[1], array_dims(i2) FROM arrays ORDER BY id;
UPDATE arrays SET t = t || 'more'::text, i2[3] = 5, i8[5:6] = '{7,8}' WHERE id = 1 RETURNING t, i2, i8;
UPDATE arrays SET u = NULL, n2 = '{7}' WHERE id = 1 RETURNING u, n2;
-- params: int4 10, int8[] '{1,2,NULL}', text[] '{"a b",NULL}', uuid[] '{123e4567-e89b-12d3-a456-426614174000}', numeric[] '{1.10,NaN}', timestamptz[] '{-infinity}'
INSERT INTO arrays (id, i8, t, u, n, ts) VALUES ($1, $2, $3, $4, $5, $6) RETURNING *;
SELECT * FROM arrays WHERE id = 10;
SELECT id FROM arrays WHERE i8 @> '{2}' ORDER BY id;
SELECT id FROM arrays WHERE 'more' = ANY (t);

CREATE TABLE kinds (id int PRIMARY KEY, m mood DEFAULT 'ok', pc percent, nt name_text, c point3, x citext, h hstore, w xml, tv tsvector, tq tsquery, jp jsonpath, cash money, o oid, r regclass, l lseg, px point, pl polygon, snap pg_lsn);
INSERT INTO kinds VALUES (1, 'happy', 50, 'abc', '(1,2.50,"a ""b"" c")', 'MiXed', 'a=>1, "b c"=>NULL', '<a b="1">x</a>', 'The:1 quick:2A fox:3', 'quick & !slow', '$.a[*] ? (@.b > 1)', '$1,234.50', 42, 'pg_class', '[(0,0),(1,1)]', '(1.5,-2)', '((0,0),(1,0),(1,1))', '16/B374D848');
INSERT INTO kinds (id, nt, m) VALUES (2, 'x', NULL);
INSERT INTO kinds (id, nt) VALUES (3, 'y') RETURNING *;
INSERT INTO kinds (id, nt, pc) VALUES (4, 'y', 101);
INSERT INTO kinds (id, nt) VALUES (4, NULL);
INSERT INTO kinds (id) VALUES (4);
INSERT INTO kinds (id, nt) VALUES (4, 'longer');
INSERT INTO kinds (id, nt, m) VALUES (4, 'y', 'glad');
INSERT INTO kinds (id, nt, c) VALUES (4, 'y', '(1,2)');
INSERT INTO kinds (id, nt, w) VALUES (4, 'y', '<a>');
SELECT id, m, pc, nt, c, x, h, tv, tq, jp, cash, o, r, px, snap FROM kinds ORDER BY id;
SELECT * FROM kinds WHERE id = 1;
SELECT id, (c).y, (c).label, h->'a', x = 'mixed', m > 'ok' FROM kinds WHERE id = 1;
SELECT id FROM kinds WHERE m >= 'ok' ORDER BY m, id;
SELECT id FROM kinds WHERE x = 'MIXED';
UPDATE kinds SET m = 'sad', c.label = 'new', cash = cash * 2, pc = pc + 1 WHERE id = 1 RETURNING m, c, cash, pc;
UPDATE kinds SET pc = pc + 50 WHERE id = 1;
UPDATE kinds SET h = h || 'z=>9', tv = to_tsvector('simple', 'one two') WHERE id = 1 RETURNING h, tv;
-- params: int4 10, text 'abc'
INSERT INTO kinds (id, nt) VALUES ($1, $2) RETURNING id, m, nt;
SET lc_monetary = 'C';
SELECT cash FROM kinds WHERE id = 1;
RESET lc_monetary;

CREATE TABLE spans (id text PRIMARY KEY, i interval, i4 int4range, i8 int8range, nr numrange, tr tstzrange, dr daterange, mr int4multirange, t time, tz timetz, ts timestamp, ts3 timestamptz(3), i2 interval day to minute, d date, tt timestamptz);
INSERT INTO spans VALUES ('a', '1 year 2 mons -3 days 04:05:06.789', '[1,5)', '(,10]', '[1.50,2)', '["2026-01-02 03:04:05+00",infinity)', '[2026-01-01,2026-02-01]', '{[1,3),[5,7)}', '23:59:59.999999', '12:00:00+05:30', '2026-01-02 03:04:05.6', '2026-01-02 03:04:05.6789+00', '1 day 2 hours', '0044-03-15 BC', '4713-01-01 00:00:00+00 BC');
INSERT INTO spans VALUES ('b', '-178000000 years', 'empty', '(,)', '(,)', 'empty', '[,infinity]', '{}', '24:00:00', '00:00:00-15:59', '-infinity', 'infinity', '0', '5874897-12-31', '294276-12-31 23:59:59.999999+00');
INSERT INTO spans VALUES ('c', '00:00:00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '0001-01-01 BC', NULL, NULL, 'infinity', '-infinity');
SELECT * FROM spans WHERE id = 'a';
SELECT * FROM spans ORDER BY id;
SET IntervalStyle = 'sql_standard';
SELECT id, i, i2 FROM spans ORDER BY id;
UPDATE spans SET i = i + '1 hour' WHERE id = 'a' RETURNING i;
SET IntervalStyle = 'postgres_verbose';
SELECT id, i, i2 FROM spans ORDER BY id;
RESET IntervalStyle;
SET TimeZone = 'America/New_York';
SET DateStyle = 'SQL, DMY';
SELECT id, ts, ts3, tr, dr, d, tt FROM spans ORDER BY id;
UPDATE spans SET ts = ts + '1 day', tr = tr * '[2026-01-01,2027-01-01)' WHERE id = 'a' RETURNING ts, tr;
RESET DateStyle;
RESET TimeZone;
SELECT * FROM spans ORDER BY id;
SELECT id FROM spans WHERE i4 @> 3 OR mr @> 3;
SELECT id, upper(i8), lower(nr), isempty(i4) FROM spans ORDER BY id;
UPDATE spans SET i4 = i4 + '[5,9)', mr = mr + '{[100,200)}' WHERE id = 'a' RETURNING i4, mr;

CREATE TABLE nets (id int PRIMARY KEY, a inet, c cidr, m macaddr, m8 macaddr8);
INSERT INTO nets VALUES (1, '10.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05'), (2, '10.0.0.1/24', NULL, NULL, NULL), (3, '::1', '2001:db8::/32', NULL, NULL);
SELECT * FROM nets WHERE a = '10.0.0.1';
SELECT * FROM nets WHERE a = '10.0.0.1/24';
SELECT * FROM nets ORDER BY id;
UPDATE nets SET m = '08-00-2b-01-02-04' WHERE id = 3 RETURNING *;
UPDATE nets SET c = c WHERE a <<= '10.0.0.0/8';
DELETE FROM nets WHERE a = '10.0.0.1/24';

CREATE TABLE bits (id int PRIMARY KEY, b bit(5), v bit varying(10), v0 bit varying, ch "char", nm name, bp char(3), y bytea);
INSERT INTO bits VALUES (1, B'10101', B'1', B'', 'x', 'name', 'ab', '\xdeadbeef'), (2, NULL, NULL, NULL, NULL, NULL, '', '');
INSERT INTO bits (id, b) VALUES (3, B'1');
INSERT INTO bits (id, v) VALUES (3, B'11111111111');
SELECT * FROM bits WHERE id = 1;
SELECT * FROM bits ORDER BY id;
UPDATE bits SET b = b << 1, v0 = v0 || B'101' WHERE id = 1 RETURNING *;
SELECT id, bp || '|', length(bp), bp = 'ab ' FROM bits ORDER BY id;

CREATE TABLE deep (id int PRIMARY KEY, n numeric, ns numeric(1000,500), neg numeric(3,-2), j jsonb, f4 real, f8 double precision);
INSERT INTO deep VALUES (1, 12345678901234567890123456789012345678.90, 1.5, 12345, '{"price": 1.50, "n": 1e3, "deep": [0, 0.0, -0, 1E-10], "big": 123456789012345678901234567890123456789012345}', 1.1, 1.1);
INSERT INTO deep VALUES (2, '-Infinity', 'NaN', -99900, '{"a": {"b": [null, true, "x", {}]}}', 'NaN', '-0');
INSERT INTO deep (id, n) VALUES (3, repeat('9', 1000)::numeric), (4, ('0.' || repeat('0', 500) || '10')::numeric);
-- not: dynamodb, dynoxide
INSERT INTO deep (id, n) VALUES (5, (repeat('9', 131072) || '.' || repeat('1', 16383))::numeric);
-- not: dynamodb, dynoxide
SELECT id, n FROM deep WHERE id = 5;
SELECT * FROM deep WHERE id = 1;
SELECT * FROM deep WHERE id = 2;
SELECT n FROM deep WHERE id = 3;
SELECT n FROM deep WHERE id = 4;
SELECT id, n, ns, neg, j FROM deep WHERE id < 5 ORDER BY id;
UPDATE deep SET n = n + 0.10, j = j || '{"price": 2.00}', neg = neg + 100 WHERE id = 1 RETURNING n, j, neg;
UPDATE deep SET f4 = f4 + 1, f8 = f8 - 1 WHERE id = 1 RETURNING f4, f8;
INSERT INTO deep (id, neg) VALUES (6, 100000);
