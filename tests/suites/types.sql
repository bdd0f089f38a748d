-- Every type, with its extremes, in both formats and under settings that change how values are printed.
-- table: public.numbers
-- table: public.texts
-- table: public.times
-- table: public.documents

CREATE TABLE numbers (id int PRIMARY KEY, s smallint, i integer, b bigint, r real, d double precision, m numeric(10,2), n numeric, o boolean);
CREATE TABLE texts (id smallint PRIMARY KEY, t text, v varchar(10), c char(5), u uuid, y bytea, w "char", z name);
CREATE TABLE times (id bigint PRIMARY KEY, ts timestamptz, d date, p timestamp, t time, i interval);
CREATE TABLE documents (id text PRIMARY KEY, j json, b jsonb, a int[], x text[], h inet);

INSERT INTO numbers VALUES (1, 0, 0, 0, 0, 0, 0, 0, true);
INSERT INTO numbers VALUES (2, 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308, 99999999.99, 123456789012345678901234567890.123456789012345678901234567890, false);
INSERT INTO numbers VALUES (3, -32768, -2147483648, -9223372036854775808, -3.4028235e38, -1.7976931348623157e308, -99999999.99, -0.000000000000000000000000000001, NULL);
INSERT INTO numbers VALUES (4, NULL, NULL, NULL, 'NaN', 'NaN', 'NaN', 'NaN', NULL);
INSERT INTO numbers VALUES (5, 1, 1, 1, 'Infinity', '-Infinity', NULL, 'Infinity', 't');
INSERT INTO numbers VALUES (6, 1, 1, 1, 1e-45, 5e-324, 1.5, 1.50, 'yes');
INSERT INTO numbers VALUES (7, 1, 1, 1, 0.1, 0.1, 0.005, 1e400, 'off');
INSERT INTO numbers VALUES (8, 1, 1, 1, -0.0, '-0', -0.00, 100, '0');
INSERT INTO numbers VALUES (9, 1, 1, 1, 1e10, 1e15, 12345678.9, 1.000000000000000000000000000000000000000000, '1');
INSERT INTO numbers VALUES (10, 1, 1, 1, 16777217, 123456789.123456789, 1, 12345678901234567890123456789012345678901234567890, '1');
INSERT INTO numbers VALUES (11, 1.5, 2.5, 3.5, 1, 1, '1.50', '1.50', '1');
INSERT INTO numbers VALUES (12, 32768, 0, 0, 0, 0, 0, 0, true);
INSERT INTO numbers VALUES (12, 0, 0, 0, 1e39, 0, 0, 0, true);
INSERT INTO numbers VALUES (12, 0, 0, 0, 0, 0, 100000000, 0, true);
INSERT INTO numbers VALUES (12, 0, 0, 0, 0, 0, 'Infinity', 0, true);
INSERT INTO numbers VALUES (12, 0, 0, 0, 0, 0, 0, 'abc', true);
INSERT INTO numbers VALUES (12, 0, 0, 0, 0, 0, 0, 0, 'maybe');
INSERT INTO numbers VALUES (12, ' 7 ', '+7', '-7', ' 1.5 ', '1e3', ' 1e2 ', '.5', ' true ');
INSERT INTO numbers VALUES (13, 0x1F, 1_000, 1, 1, 1, 1, 1, true);
-- params: int4 20, int2 -5, int4 -6, int8 -7, float4 1.25, float8 -2.5, numeric 3.14159, numeric 2.7182818284590452353602874713526624977572, bool f
INSERT INTO numbers VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *;
-- params: int4 21, int2 NULL, int4 NULL, int8 NULL, float4 NULL, float8 NULL, numeric NULL, numeric NULL, bool NULL
INSERT INTO numbers VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *;
-- params: int4 22, int2 1, int4 1, int8 1, float4 NaN, float8 -Infinity, numeric NaN, numeric -Infinity, bool t
INSERT INTO numbers VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *;
-- params: int4 23, int2 1, int4 1, int8 1, float4 1, float8 1, numeric 123456789.5, numeric 1, bool t
INSERT INTO numbers VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *;
SELECT * FROM numbers WHERE id = 1;
SELECT * FROM numbers WHERE id = 2;
SELECT * FROM numbers WHERE id = 3;
SELECT * FROM numbers WHERE id = 4;
SELECT * FROM numbers WHERE id = 6;
SELECT * FROM numbers WHERE id = 8;
SELECT * FROM numbers ORDER BY id;
SELECT r, d, m, n FROM numbers WHERE id = 11;
SELECT sum(b), avg(d), max(n), min(m), count(o) FROM numbers WHERE id IN (1, 6, 9, 11);
UPDATE numbers SET m = 1, n = 1.10, r = 1.1, d = 1.1 WHERE id = 1 RETURNING *;
UPDATE numbers SET m = 1.005, n = n * 1.10 WHERE id = 1 RETURNING m, n;
UPDATE numbers SET s = s + 1 WHERE id = 2;
SELECT * FROM numbers WHERE n = 1.5 ORDER BY id;
SELECT id FROM numbers WHERE d = 'NaN' ORDER BY id;
SELECT id FROM numbers WHERE d > 1 ORDER BY id;
SELECT id FROM numbers WHERE o ORDER BY id;
SELECT id FROM numbers WHERE o IS NOT TRUE ORDER BY id;
SET extra_float_digits = 0;
SELECT r, d FROM numbers WHERE id = 7;
SELECT r, d FROM numbers WHERE id IN (7, 9) ORDER BY id;
RESET extra_float_digits;
SELECT r, d FROM numbers WHERE id = 7;

INSERT INTO texts VALUES (1, '', '', '', '00000000-0000-0000-0000-000000000000', '', '', '');
INSERT INTO texts VALUES (2, 'plain', 'plain', 'plain', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '\x00ff10', 'c', 'name');
INSERT INTO texts VALUES (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO texts VALUES (4, 'Grüße, 世界 🌍', 'äöüß世界🌍', 'é', NULL, 'abc\\def', NULL, 'größe');
INSERT INTO texts VALUES (5, E'tab\tnew\nline\r\\quote''"', 'NULL', 'a', NULL, '\x', NULL, NULL);
INSERT INTO texts VALUES (6, ' lead and trail ', '  x  ', '  x', NULL, E'\\x5C27', NULL, NULL);
INSERT INTO texts VALUES (7, repeat('long ', 2000), 'x', 'x', NULL, decode(repeat('00', 3000), 'hex'), NULL, NULL);
INSERT INTO texts VALUES (8, 'x', 'longer than 10', 'x', NULL, NULL, NULL, NULL);
INSERT INTO texts VALUES (8, 'x', 'blanks       ', 'abc     ', NULL, NULL, NULL, NULL);
INSERT INTO texts VALUES (9, 'x', 'x', 'longer', NULL, NULL, NULL, NULL);
INSERT INTO texts VALUES (9, 'x', 'x', 'x', 'zz', NULL, NULL, NULL);
INSERT INTO texts VALUES (9, 'x', 'x', 'x', NULL, '\xzz', NULL, NULL);
INSERT INTO texts VALUES (9, E'\u0001\u007f', E'\u00a0', E'\u200b', NULL, NULL, NULL, NULL);
-- params: int2 20, text 'parameter', varchar 'short', bpchar 'c', uuid '123e4567-e89b-12d3-a456-426614174000', bytea '\xdeadbeef', text 'z'
INSERT INTO texts (id, t, v, c, u, y, z) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *;
-- params: int2 21, text '', varchar '', bpchar '', uuid NULL, bytea '', text ''
INSERT INTO texts (id, t, v, c, u, y, z) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *;
-- params: int2 22, text 'x', varchar 'longer than ten'
INSERT INTO texts (id, t, v) VALUES ($1, $2, $3) RETURNING *;
SELECT * FROM texts WHERE id = 1;
SELECT * FROM texts WHERE id = 2;
SELECT * FROM texts WHERE id = 4;
SELECT id, t, v, u, y FROM texts WHERE id = 5;
SELECT id, t, v, u, y FROM texts WHERE id = 4;
SELECT * FROM texts ORDER BY id;
SELECT id, length(t), octet_length(y), md5(t) FROM texts ORDER BY id;
SELECT id FROM texts WHERE t = '' ORDER BY id;
SELECT id FROM texts WHERE t >= 'p' ORDER BY id;
SELECT id FROM texts WHERE c = 'x' ORDER BY id;
SELECT id FROM texts WHERE v LIKE '%x%' ORDER BY id;
SET bytea_output = 'escape';
SELECT y FROM texts WHERE id = 2;
SELECT id, y FROM texts ORDER BY id;
UPDATE texts SET y = 'a\\b' WHERE id = 1 RETURNING y;
RESET bytea_output;
SELECT y FROM texts WHERE id = 2;

INSERT INTO times VALUES (1, '2026-01-02 03:04:05.678901+00', '2026-01-02', '2026-01-02 03:04:05.678901', '03:04:05.678901', '1 day 02:03:04');
INSERT INTO times VALUES (2, 'infinity', 'infinity', 'infinity', '24:00', '0');
INSERT INTO times VALUES (3, '-infinity', '-infinity', '-infinity', '00:00', '-1 year');
INSERT INTO times VALUES (4, NULL, NULL, NULL, NULL, NULL);
INSERT INTO times VALUES (5, '0001-01-01 00:00:00+00 BC', '4713-01-01 BC', '0044-03-15 BC', NULL, NULL);
INSERT INTO times VALUES (6, '294276-12-31 23:59:59.999999+00', '5874897-12-31', NULL, NULL, NULL);
INSERT INTO times VALUES (7, '1969-12-31 23:59:59.999999+00', '1970-01-01', NULL, NULL, NULL);
INSERT INTO times VALUES (8, '2026-03-29 02:30 Europe/Berlin', 'March 5, 2026', NULL, NULL, NULL);
INSERT INTO times VALUES (9, '2026-01-02T03:04:05Z', '20260102', NULL, NULL, NULL);
INSERT INTO times VALUES (10, '2026-01-02 03:04:05 PST', '1/2/2026', NULL, NULL, NULL);
INSERT INTO times VALUES (11, '2026-13-01', '2026-01-02', NULL, NULL, NULL);
INSERT INTO times VALUES (11, NULL, '2026-02-30', NULL, NULL, NULL);
INSERT INTO times VALUES (11, '2026-07-01 12:00', '0001-01-01', NULL, NULL, NULL);
INSERT INTO times VALUES (12, '1890-01-01 12:00+00', '1890-01-01', NULL, NULL, NULL);
-- params: int8 20, timestamptz '2026-05-06 07:08:09.1+03', date '2026-05-06', timestamp '2026-05-06 07:08:09', interval '3 mons'
INSERT INTO times (id, ts, d, p, i) VALUES ($1, $2, $3, $4, $5) RETURNING *;
-- params: int8 21, timestamptz 'infinity', date '-infinity'
INSERT INTO times (id, ts, d) VALUES ($1, $2, $3) RETURNING *;
SELECT * FROM times WHERE id = 1;
SELECT id, ts, d FROM times WHERE id = 1;
SELECT id, ts, d FROM times WHERE id = 5;
SELECT * FROM times ORDER BY id;
SET TimeZone = 'Europe/Berlin';
SELECT id, ts, d FROM times WHERE id = 1;
SELECT id, ts, d FROM times WHERE id = 5;
SELECT id, ts, d FROM times WHERE id = 12;
SELECT id, ts FROM times ORDER BY id;
INSERT INTO times (id, ts) VALUES (30, '2026-07-01 12:00') RETURNING ts;
INSERT INTO times (id, ts, d) VALUES (31, '2026-07-01', '2026-07-01');
SELECT id, ts FROM times WHERE ts = '2026-07-01 12:00';
SELECT id FROM times WHERE ts >= '2026-07-01' AND ts < '2026-07-02' ORDER BY id;
UPDATE times SET ts = '2026-12-01 00:00' WHERE id = 30 RETURNING ts;
SELECT ts::date, extract(hour FROM ts) FROM times WHERE id = 30;
SET DateStyle = 'German';
SELECT id, ts, d FROM times WHERE id = 1;
SELECT id, ts, d FROM times ORDER BY id;
INSERT INTO times (id, ts, d) VALUES (32, '02.01.2026 03:04', '02.01.2026') RETURNING *;
SET DateStyle = 'SQL, DMY';
SELECT id, ts, d FROM times WHERE id = 1;
INSERT INTO times (id, d) VALUES (33, '02/01/2026') RETURNING d;
SET DateStyle = 'Postgres, MDY';
SELECT id, ts, d FROM times WHERE id = 1;
INSERT INTO times (id, d) VALUES (34, '02/01/2026') RETURNING d;
RESET DateStyle;
SET IntervalStyle = 'iso_8601';
SELECT i FROM times WHERE id = 1;
RESET IntervalStyle;
RESET TimeZone;
SELECT id, ts, d FROM times ORDER BY id;

INSERT INTO documents VALUES ('1', '{"b": 1,  "a": [1, 2.50, null], "b": 2}', '{"b": 1,  "a": [1, 2.50, null], "b": 2}', '{1,2,NULL}', '{a,"b c",NULL,"NULL",""}', '10.0.0.1');
INSERT INTO documents VALUES ('2', 'null', 'null', '{}', '{}', '10.0.0.0/8');
INSERT INTO documents VALUES ('3', NULL, NULL, NULL, NULL, NULL);
INSERT INTO documents VALUES ('4', '  "spaced"  ', '"Grüße \u00e4 \n \" \\ 🌍"', '{{1,2},{3,4}}', '{{a},{b}}', '::1');
INSERT INTO documents VALUES ('5', '12345678901234567890.1234567890', '12345678901234567890.1234567890', '[0:1]={1,2}', NULL, NULL);
INSERT INTO documents VALUES ('6', '1e5', '1e5', NULL, NULL, NULL);
INSERT INTO documents VALUES ('7', '{', NULL, NULL, NULL, NULL);
INSERT INTO documents VALUES ('7', NULL, '"\u0000"', NULL, NULL, NULL);
INSERT INTO documents VALUES ('8', '{"z":{"y":{}}, "":""}', '{"bb":1,"a":2,"":3,"ccc":{"z":1,"y":[]}}', NULL, NULL, NULL);
-- not: dynamodb, dynoxide
INSERT INTO documents VALUES ('', 'true', 'false', NULL, NULL, NULL);
INSERT INTO documents VALUES ('key with space: {}*?[]', '[]', '{}', NULL, NULL, NULL);
INSERT INTO documents VALUES ('Schlüssel 🌍', '[]', '{}', NULL, NULL, NULL);
-- params: text 'p', json '{"k":  "v"}', jsonb '{"k":  "v", "n": 1.10}', int4[] '{5,6}', text[] '{x,NULL}', inet '1.2.3.4/24'
INSERT INTO documents VALUES ($1, $2, $3, $4, $5, $6) RETURNING *;
SELECT * FROM documents WHERE id = '1';
SELECT j, b FROM documents WHERE id = '1';
SELECT j, b FROM documents WHERE id = '4';
-- not: dynamodb, dynoxide
SELECT id, j, b FROM documents WHERE id = '';
SELECT id, j, b FROM documents WHERE id = 'key with space: {}*?[]';
SELECT id, b FROM documents WHERE id = 'Schlüssel 🌍';
SELECT * FROM documents ORDER BY id COLLATE "C";
SELECT id, b->'a' AS a, b @> '{"a": 2}' AS has, jsonb_typeof(b) FROM documents WHERE b IS NOT NULL ORDER BY id COLLATE "C";
SELECT id, a[1], array_length(a, 1), x FROM documents WHERE a IS NOT NULL ORDER BY id COLLATE "C";
UPDATE documents SET b = b || '{"new": 1.0}' WHERE id = '1' RETURNING b;
UPDATE documents SET b = jsonb_set(b, '{a,0}', '"x"'), a = a || 9 WHERE id = '1' RETURNING b, a;
UPDATE documents SET b = '{"whole": [1.0, 1e3]}', j = '{ "whole" : 1 }' WHERE id = '1' RETURNING j, b;
