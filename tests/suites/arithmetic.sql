-- Sums in UPDATE and in ON CONFLICT DO UPDATE: in one command of the store where they are integers, by PostgreSQL where they aren't.
-- table: public.tallies
-- table: public.scores layout=sorted_set score=points

CREATE TABLE tallies (id text PRIMARY KEY, small smallint, n integer NOT NULL DEFAULT 0, big bigint, ratio double precision, cost numeric(10,2), note text);
CREATE TABLE scores (board text, member text, points bigint NOT NULL, PRIMARY KEY (board, member));

INSERT INTO tallies VALUES ('a', 1, 1, 1, 0.1, 1.10, 'x'), ('null', NULL, 0, NULL, NULL, NULL, NULL);
INSERT INTO tallies VALUES ('top', 32767, 2147483647, 9223372036854775807, 1e308, 99999999.99, ''), ('bottom', -32768, -2147483648, -9223372036854775808, -1e308, -99999999.99, '');
INSERT INTO scores VALUES ('week', 'ada', 10), ('week', 'max', 9007199254740991);

-- Integers.
UPDATE tallies SET n = n + 1 WHERE id = 'a';
UPDATE tallies SET n = n + 1 WHERE id = 'a' RETURNING *;
UPDATE tallies SET n = 1 + n WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n - 1, big = big + 9007199254740993, small = small - -2, note = 'many' WHERE id = 'a' RETURNING *;
UPDATE tallies SET n = (tallies.n + 1) WHERE tallies.id = 'a' RETURNING tallies.n;
UPDATE tallies AS t SET n = t.n + 1 WHERE t.id = 'a' RETURNING t.n, note;
UPDATE public.tallies SET n = public.tallies.n + 1 WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n + 1 WHERE id = 'none' RETURNING n;
UPDATE tallies SET n = n + 1 WHERE id = NULL;
UPDATE tallies SET n = n + '7' WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n + 7::smallint, big = big + '7'::int WHERE id = 'a' RETURNING n, big;
UPDATE tallies SET n = n + NULL WHERE id = 'a';
UPDATE tallies SET big = big + NULL WHERE id = 'a' RETURNING big;
UPDATE tallies SET big = 5 WHERE id = 'a';
-- params: int4 5, text 'a'
UPDATE tallies SET n = n + $1 WHERE id = $2 RETURNING n;
-- params: int8 5, text 'a'
UPDATE tallies SET n = n + $1, big = $1 + big WHERE id = $2 RETURNING n, big;
-- params: int2 -5, text 'a'
UPDATE tallies SET big = big - $1, small = small + $1, note = 'p' WHERE id = $2 RETURNING *;
-- params: int8 NULL, text 'a'
UPDATE tallies SET big = big + $1 WHERE id = $2 RETURNING big;
-- params: text 'a', int8 9007199254740993
UPDATE tallies SET big = $2 WHERE id = $1;
UPDATE tallies SET big = big + 2 WHERE id = 'a' RETURNING big;
UPDATE tallies SET big = big - 4 WHERE id = 'a' RETURNING big;
UPDATE tallies SET n = n + n WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = small + 1 WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = 1 - n WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n + 1 + 1 WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = -n WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n * 2, small = small + 1 WHERE id = 'a' RETURNING n, small;
UPDATE tallies SET n = n + 1.5 WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n + 1.4 WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n + 1e2 WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n + '1.5' WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n + 'x' WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n + note WHERE id = 'a' RETURNING n;
-- params: numeric 1.5
UPDATE tallies SET n = n + $1 WHERE id = 'a' RETURNING n;
-- params: float8 2.5
UPDATE tallies SET n = n + $1 WHERE id = 'a' RETURNING n;
UPDATE tallies SET n = n + 1, n = n + 2 WHERE id = 'a';
UPDATE tallies SET nothing = nothing + 1 WHERE id = 'a';

-- The ends of the types.
UPDATE tallies SET small = small + 1 WHERE id = 'top';
UPDATE tallies SET n = n + 1 WHERE id = 'top';
UPDATE tallies SET big = big + 1 WHERE id = 'top';
UPDATE tallies SET note = 'changed', big = big + 1 WHERE id = 'top';
UPDATE tallies SET small = small - 1 WHERE id = 'bottom';
UPDATE tallies SET n = n - 1 WHERE id = 'bottom';
UPDATE tallies SET big = big - 1 WHERE id = 'bottom';
UPDATE tallies SET small = small + 65535, n = n + 4294967295, big = big + 9223372036854775807 WHERE id = 'bottom' RETURNING small, n, big;
UPDATE tallies SET small = small + 40000 WHERE id = 'a';
UPDATE tallies SET n = n + 5000000000 WHERE id = 'a';
UPDATE tallies SET big = big + 9223372036854775808 WHERE id = 'a';
UPDATE tallies SET big = big - (-9223372036854775808) WHERE id = 'bottom' RETURNING big;
UPDATE tallies SET big = big + (-9223372036854775808) WHERE id = 'top' RETURNING big;
SELECT * FROM tallies WHERE id = 'top';
-- params: int8 1
UPDATE tallies SET n = n + $1 WHERE id = 'top';
-- params: int8 9223372036854775807
UPDATE tallies SET n = n + $1 WHERE id = 'a';

-- NULL stays NULL.
UPDATE tallies SET small = small + 1, big = big - 1, note = 'set' WHERE id = 'null' RETURNING *;
UPDATE tallies SET big = coalesce(big, 0) + 1 WHERE id = 'null' RETURNING big;
UPDATE tallies SET big = big + 1 WHERE id = 'null' RETURNING big;

-- What PostgreSQL computes.
UPDATE tallies SET ratio = ratio + 0.2 WHERE id = 'a' RETURNING ratio;
UPDATE tallies SET ratio = ratio + 1 WHERE id = 'a' RETURNING ratio;
UPDATE tallies SET ratio = ratio + 1e308 WHERE id = 'top';
UPDATE tallies SET cost = cost + 0.005 WHERE id = 'a' RETURNING cost;
UPDATE tallies SET cost = cost + 1, n = n + 1 WHERE id = 'a' RETURNING cost, n;
UPDATE tallies SET cost = cost + 1 WHERE id = 'top';
UPDATE tallies SET note = note || 'y', n = n + 1 WHERE id = 'a' RETURNING note, n;
UPDATE tallies SET id = id || 'a', n = n + 1 WHERE id = 'a' RETURNING id, n;
UPDATE tallies SET n = n + 1 WHERE id IN ('aa', 'null');
UPDATE tallies SET n = n + 1 WHERE id = 'aa' AND note = 'no';
UPDATE tallies SET n = n + 1 WHERE id = 'aa' AND n > 0 RETURNING n;

-- ON CONFLICT.
INSERT INTO tallies (id, n) VALUES ('new', 1) ON CONFLICT (id) DO UPDATE SET n = tallies.n + 1 RETURNING *;
INSERT INTO tallies (id, n) VALUES ('new', 1) ON CONFLICT (id) DO UPDATE SET n = tallies.n + 1 RETURNING *;
INSERT INTO tallies (id, n) VALUES ('new', 10) ON CONFLICT (id) DO UPDATE SET n = tallies.n + excluded.n;
INSERT INTO tallies AS t (id, n, big, note) VALUES ('new', 10, 7, 'twice') ON CONFLICT (id) DO UPDATE SET n = excluded.n - 1, note = excluded.note, big = 3 RETURNING *;
INSERT INTO tallies AS t (id, n, big, note) VALUES ('new', 10, 7, 'thrice') ON CONFLICT (id) DO UPDATE SET n = t.n - excluded.n, note = excluded.note, big = t.big + excluded.n RETURNING *;
INSERT INTO tallies (id, n) VALUES ('new', 10) ON CONFLICT (id) DO UPDATE SET n = n + 1;
INSERT INTO tallies (id, n) VALUES ('new', NULL) ON CONFLICT (id) DO UPDATE SET n = tallies.n + 1;
INSERT INTO tallies (id, n, big) VALUES ('new', 1, NULL) ON CONFLICT (id) DO UPDATE SET big = tallies.big + excluded.big RETURNING big;
INSERT INTO tallies (id, n, big) VALUES ('new', 1, 5) ON CONFLICT (id) DO UPDATE SET big = tallies.big + excluded.big RETURNING big;
INSERT INTO tallies (id, n) VALUES ('top', 1) ON CONFLICT (id) DO UPDATE SET n = tallies.n + excluded.n;
INSERT INTO tallies (id, n) VALUES ('new', 1), ('newer', 1) ON CONFLICT (id) DO UPDATE SET n = tallies.n + excluded.n;
INSERT INTO tallies (id, n) VALUES ('new', 1) ON CONFLICT (id) DO UPDATE SET n = tallies.n + excluded.n WHERE tallies.n < 0 RETURNING n;
INSERT INTO tallies (id) VALUES ('new') ON CONFLICT (id) DO UPDATE SET n = tallies.n + 1 RETURNING n;
-- params: text 'par', int4 3
INSERT INTO tallies (id, n) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = tallies.n + excluded.n RETURNING n;
-- params: text 'par', int4 3
INSERT INTO tallies (id, n) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = tallies.n + excluded.n RETURNING n;
-- params: text 'par', int4 3
INSERT INTO tallies (id, n) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = tallies.n + $2, note = 'seen' RETURNING n, note;

-- In a block.
BEGIN;
UPDATE tallies SET n = n + 1 WHERE id = 'new' RETURNING n;
UPDATE tallies SET n = n + 1 WHERE id = 'new' RETURNING n;
SAVEPOINT s;
UPDATE tallies SET n = n + 2147483647 WHERE id = 'new';
ROLLBACK TO s;
UPDATE tallies SET big = big + 1 WHERE id = 'new' RETURNING big;
INSERT INTO tallies (id, n) VALUES ('blocked', 1) ON CONFLICT (id) DO UPDATE SET n = tallies.n + 1 RETURNING n;
INSERT INTO tallies (id, n) VALUES ('blocked', 1) ON CONFLICT (id) DO UPDATE SET n = tallies.n + 1 RETURNING n;
SELECT n, big FROM tallies WHERE id = 'new';
COMMIT;
SELECT n, big FROM tallies WHERE id = 'new';
BEGIN;
UPDATE tallies SET n = n + 100 WHERE id = 'new';
ROLLBACK;
SELECT n FROM tallies WHERE id = 'new';

-- Scores.
UPDATE scores SET points = points + 5 WHERE board = 'week' AND member = 'ada' RETURNING *;
UPDATE scores SET points = points - 20 WHERE board = 'week' AND member = 'ada' RETURNING points;
UPDATE scores SET points = points + 1 WHERE board = 'week' AND member = 'nobody';
UPDATE scores SET points = points + 1 WHERE board = 'week' AND member = 'max' RETURNING points;
UPDATE scores SET points = points + 9223372036854775807 WHERE board = 'week' AND member = 'max';
UPDATE scores SET points = points + 0.5 WHERE board = 'week' AND member = 'ada' RETURNING points;
-- params: int8 7, text 'ada'
UPDATE scores SET points = points + $1 WHERE board = 'week' AND member = $2 RETURNING points;
INSERT INTO scores VALUES ('week', 'ada', 3) ON CONFLICT (board, member) DO UPDATE SET points = scores.points + excluded.points RETURNING points;
INSERT INTO scores VALUES ('week', 'bob', 3) ON CONFLICT (board, member) DO UPDATE SET points = scores.points + excluded.points RETURNING points;
INSERT INTO scores VALUES ('week', 'bob', 3) ON CONFLICT (board, member) DO UPDATE SET points = scores.points - excluded.points RETURNING points;
SELECT * FROM scores WHERE board = 'week' ORDER BY points;
