-- Timestamps with and without a zone, of every precision, as keys and beside them.
-- table: public.seen
-- table: public.visits
-- table: public.beats

CREATE TABLE seen (at timestamp PRIMARY KEY, who text, until timestamp(0), local timestamp(3), millis timestamptz(3));
CREATE TABLE visits (who int, at timestamp(3), page text, PRIMARY KEY (who, at));
CREATE TABLE beats (sensor text, at timestamptz(3), n int, PRIMARY KEY (sensor, at));

INSERT INTO seen VALUES ('2026-01-02 03:04:05.678901', 'ann', '2026-01-02 03:04:05', '2026-01-02 03:04:05.678', '2026-01-02 03:04:05.678+02');
INSERT INTO seen VALUES ('2026-01-02', 'ben', '2026-01-02 03:04:05.5', '2026-01-02 03:04:05.6785', '2026-01-02 03:04:05.6785+00');
INSERT INTO seen VALUES ('2026-01-03T12:30', 'cid', 'infinity', '-infinity', 'infinity');
INSERT INTO seen VALUES ('infinity', 'eve', NULL, NULL, NULL), ('-infinity', 'fay', NULL, NULL, NULL);
INSERT INTO seen VALUES ('0044-03-15 12:00:00 BC', 'gus', '294276-12-31 23:59:59', '0001-01-01 BC', '4713-01-01 00:00:00+00 BC');
INSERT INTO seen VALUES ('2026-03-29 02:30:00 Europe/Berlin', 'the zone is left out', NULL, NULL, NULL);
INSERT INTO seen VALUES ('2026-03-29 02:30:00+05', 'taken', NULL, NULL, NULL);
INSERT INTO seen VALUES ('2026-02-30', 'no such day', NULL, NULL, NULL);
INSERT INTO seen VALUES ('294277-01-01', 'too late', NULL, NULL, NULL);
INSERT INTO seen VALUES ('yesterday'::date - 100000, 'computed', NULL, NULL, NULL) RETURNING who;
-- params: timestamp '2026-05-06 07:08:09.123456', text 'p', timestamp '2026-05-06 07:08:09', timestamp '2026-05-06 07:08:09.123', timestamptz '2026-05-06 07:08:09.123+00'
INSERT INTO seen VALUES ($1, $2, $3, $4, $5) RETURNING *;
-- params: timestamp '2026-05-07 07:08:09', text 'rounded', timestamp '2026-05-06 07:08:09.5', timestamp '2026-05-06 07:08:09.1235', timestamptz '2026-05-06 07:08:09.1235+00'
INSERT INTO seen VALUES ($1, $2, $3, $4, $5) RETURNING *;

SELECT * FROM seen WHERE who <> 'computed' ORDER BY at;
SELECT * FROM seen WHERE at = '2026-01-02 03:04:05.678901';
SELECT * FROM seen WHERE at = '2026-01-02 03:04:05.6789010';
SELECT who FROM seen WHERE at = '2026-01-02 03:04:05.6789012';
SELECT who FROM seen WHERE at = '2026-01-02';
SELECT who FROM seen WHERE at = '2026-01-02'::date;
SELECT who FROM seen WHERE at = '2026-01-02 00:00:00'::timestamp;
SELECT who FROM seen WHERE at = '2026-01-02 00:00:00+00'::timestamptz;
SELECT who FROM seen WHERE at = 'infinity';
SELECT who FROM seen WHERE at IN ('-infinity', '0044-03-15 12:00:00 BC', '2026-01-02 00:00:00') ORDER BY who;
SELECT who FROM seen WHERE at = ANY ('{2026-01-02,"2026-01-03 12:30:00",NULL}') ORDER BY who;
-- params: timestamp '2026-01-03 12:30:00'
SELECT who, at FROM seen WHERE at = $1;
-- params: timestamp[] '{"2026-01-03 12:30:00","2026-01-02 00:00:00"}'
SELECT who, at FROM seen WHERE at = ANY ($1) ORDER BY at;
-- params: date '2026-01-02'
SELECT who, at FROM seen WHERE at = $1;
UPDATE seen SET until = '2026-01-02 03:04:05.7', local = '2026-01-01 00:00:00.0004' WHERE at = '2026-01-02' RETURNING *;
UPDATE seen SET until = '2026-01-02 03:04:06', millis = '2026-01-02 00:00:00.5-03' WHERE at = '2026-01-02' RETURNING *;
DELETE FROM seen WHERE at = '2026-01-03 12:30' RETURNING who;
INSERT INTO seen VALUES ('2026-01-02 00:00:00', 'twice') ON CONFLICT DO NOTHING;
INSERT INTO seen VALUES ('2026-01-02 00:00:00', 'twice') ON CONFLICT (at) DO UPDATE SET who = excluded.who RETURNING who, at;
INSERT INTO seen VALUES ('2026-01-02 00:00:00', 'twice');

INSERT INTO visits VALUES (1, '2026-01-01 00:00:00.001', 'a'), (1, '2026-01-01 00:00:00.002', 'b'), (1, '2026-01-01 00:00:01', 'c'), (2, '2026-01-01', 'd'), (1, '-infinity', 'e');
INSERT INTO visits VALUES (1, '2026-01-01 00:00:00.0006', 'rounded to the first');
INSERT INTO visits VALUES (1, '2026-01-01 00:00:00.0026', 'rounded');
SELECT * FROM visits WHERE who = 1 ORDER BY at;
SELECT page FROM visits WHERE who = 1 AND at > '2026-01-01 00:00:00.0006' ORDER BY at;
SELECT page FROM visits WHERE who = 1 AND at >= '2026-01-01 00:00:00.0006' ORDER BY at;
SELECT page FROM visits WHERE who = 1 AND at < '2026-01-01 00:00:00.0016' ORDER BY at;
SELECT page FROM visits WHERE who = 1 AND at <= '2026-01-01 00:00:00.0014' ORDER BY at DESC;
SELECT page FROM visits WHERE who = 1 AND at = '2026-01-01 00:00:00.0006';
SELECT page FROM visits WHERE who = 1 AND at = '2026-01-01 00:00:00.001';
SELECT page FROM visits WHERE who = 1 AND at BETWEEN '2026-01-01' AND '2026-01-01 00:00:00.002' ORDER BY at;
SELECT page FROM visits WHERE who = 1 AND at > '2026-01-01'::date ORDER BY at LIMIT 2;
SELECT page FROM visits WHERE who = 1 AND at > '2026-01-01 00:00:00+00'::timestamptz ORDER BY at LIMIT 2;
-- params: int4 1, timestamp '2026-01-01 00:00:00.001'
SELECT * FROM visits WHERE who = $1 AND at >= $2 ORDER BY at;
-- params: int4 1, timestamp '2026-01-01 00:00:00.0006'
SELECT * FROM visits WHERE who = $1 AND at > $2 ORDER BY at;
-- sorted
DELETE FROM visits WHERE who = 1 AND at < '2026-01-01 00:00:00.002' RETURNING page;

INSERT INTO beats VALUES ('x', '2026-01-01 00:00:00.001+00', 1), ('x', '2026-01-01 02:00:00.001+02', 2);
INSERT INTO beats VALUES ('x', '2026-01-01 00:00:00.001+00', 1), ('x', '2026-01-01 02:00:00.002+02', 2), ('x', '1969-12-31 23:59:59.999+00', 3);
INSERT INTO beats VALUES ('x', '2026-01-01 00:00:00.0025+00', 4);
SELECT * FROM beats WHERE sensor = 'x' ORDER BY at DESC;
SELECT n FROM beats WHERE sensor = 'x' AND at = '2026-01-01 00:00:00.001Z';
SELECT n FROM beats WHERE sensor = 'x' AND at > '2026-01-01 00:00:00.0014Z' ORDER BY at;
-- params: text 'x', timestamptz '2026-01-01 00:00:00.002+00'
UPDATE beats SET n = n + 1 WHERE sensor = $1 AND at = $2 RETURNING *;

SET DateStyle = 'SQL, DMY';
SELECT * FROM seen WHERE at = '2026-01-02';
SELECT * FROM visits WHERE who = 1 ORDER BY at;
SELECT who FROM seen WHERE at = '02/01/2026';
RESET DateStyle;
SET TimeZone = 'Europe/Berlin';
SELECT * FROM seen WHERE at = '2026-01-02';
SELECT * FROM beats WHERE sensor = 'x' ORDER BY at;
SELECT who FROM seen WHERE at = '2026-01-01 23:00:00+00'::timestamptz;
RESET TimeZone;
ALTER TABLE visits ADD COLUMN left_at timestamp(3) DEFAULT '2026-02-02 02:02:02.222';
SELECT * FROM visits WHERE who = 1 ORDER BY at;
SELECT date_trunc('day', at), count(*) FROM visits GROUP BY 1 ORDER BY 1;
