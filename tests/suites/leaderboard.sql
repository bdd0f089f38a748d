-- A leaderboard kept as a sorted set where the store has those.
-- table: public.leaderboard layout=sorted_set score=score

CREATE TABLE leaderboard (board text, member text, score bigint NOT NULL, PRIMARY KEY (board, member));

INSERT INTO leaderboard VALUES ('week', 'ada', 120), ('week', 'bob', 80), ('week', 'cy', 200), ('week', 'dee', -5), ('week', 'eve', 0), ('month', 'ada', 1000);
INSERT INTO leaderboard VALUES ('week', 'ada', 1);
-- params: text 'week', text 'fay', int8 95
INSERT INTO leaderboard VALUES ($1, $2, $3);
INSERT INTO leaderboard VALUES ('week', 'gus', NULL);
INSERT INTO leaderboard (board, member) VALUES ('week', 'gus');

-- The best.
SELECT member, score FROM leaderboard WHERE board = 'week' ORDER BY score DESC LIMIT 3;
SELECT member, score FROM leaderboard WHERE board = 'week' ORDER BY score DESC LIMIT 2 OFFSET 1;
SELECT member, score FROM leaderboard WHERE board = 'week' ORDER BY score LIMIT 3;
SELECT member, score FROM leaderboard WHERE board = 'week' ORDER BY score DESC, member LIMIT 3;
SELECT * FROM leaderboard WHERE board = 'week' ORDER BY score DESC;
SELECT * FROM leaderboard WHERE board = 'nothing' ORDER BY score DESC LIMIT 3;
-- params: text 'week', int8 2
SELECT member, score FROM leaderboard WHERE board = $1 ORDER BY score DESC LIMIT $2;
SELECT member, score FROM leaderboard WHERE board = 'week' AND score > 80 ORDER BY score DESC;
SELECT member, score FROM leaderboard WHERE board = 'week' AND score BETWEEN 0 AND 100 ORDER BY score;
SELECT member FROM leaderboard WHERE board = 'week' ORDER BY member;
SELECT member FROM leaderboard WHERE board = 'week' AND member > 'b' ORDER BY member;

-- One member, its rank, and how many.
SELECT * FROM leaderboard WHERE board = 'week' AND member = 'ada';
SELECT * FROM leaderboard WHERE board = 'week' AND member = 'zoe';
SELECT member, score, rank() OVER (ORDER BY score DESC) FROM leaderboard WHERE board = 'week' ORDER BY rank;
SELECT r FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = 'week') t WHERE member = 'ada';
SELECT count(*) FROM leaderboard WHERE board = 'week' AND score > (SELECT score FROM leaderboard WHERE board = 'week' AND member = 'ada');
SELECT count(*) FROM leaderboard WHERE board = 'week';
SELECT board, count(*), max(score), sum(score) FROM leaderboard GROUP BY board ORDER BY board;

-- Pages and ranges of scores.
-- params: text 'week', int8 2, int8 1
SELECT member, score FROM leaderboard WHERE board = $1 ORDER BY score DESC LIMIT $2 OFFSET $3;
SELECT member FROM leaderboard WHERE board = 'week' ORDER BY score OFFSET 4;
SELECT member FROM leaderboard WHERE board = 'week' ORDER BY score LIMIT NULL OFFSET NULL;
SELECT member FROM leaderboard WHERE board = 'week' ORDER BY score LIMIT 0;
SELECT member FROM leaderboard WHERE board = 'week' ORDER BY score LIMIT -1;
SELECT member FROM leaderboard WHERE board = 'week' ORDER BY score LIMIT -1 OFFSET -1;
SELECT member FROM leaderboard WHERE board = 'week' ORDER BY member LIMIT 2 OFFSET 1;
SELECT member FROM leaderboard WHERE board = 'week' AND member = 'ada' OFFSET 1;
SELECT member FROM leaderboard WHERE board = 'week' AND member = 'ada' LIMIT 1 OFFSET 0;
-- sorted
SELECT member, score FROM leaderboard WHERE board = 'week' AND score >= 95;
SELECT member, score FROM leaderboard WHERE board = 'week' AND score < 120 ORDER BY score DESC LIMIT 2 OFFSET 1;
SELECT member FROM leaderboard WHERE board = 'week' AND 95 <= score AND score <= 120 ORDER BY score;
SELECT member FROM leaderboard WHERE board = 'week' AND score = 120 ORDER BY score DESC;
SELECT member FROM leaderboard WHERE board = 'week' AND score > 95.5 ORDER BY score;
SELECT member FROM leaderboard WHERE board = 'week' AND score > 1 AND score > 100 ORDER BY score;
SELECT member FROM leaderboard WHERE board = 'week' AND score > 9223372036854775807 ORDER BY score;
SELECT member FROM leaderboard WHERE board = 'week' AND score < 9223372036854775808 ORDER BY score LIMIT 1;
SELECT member FROM leaderboard WHERE board = 'week' AND score > -9007199254740993 ORDER BY score LIMIT 1;
-- params: text 'week', int4 0, int8 100
SELECT member, score FROM leaderboard WHERE board = $1 AND score BETWEEN $2 AND $3 ORDER BY score;
-- params: text 'week', int8 NULL
SELECT member FROM leaderboard WHERE board = $1 AND score > $2 ORDER BY score;
-- params: text NULL, int8 1
SELECT member FROM leaderboard WHERE board = $1 AND score > $2 ORDER BY score;
-- params: text 'week', float8 95.5
SELECT member FROM leaderboard WHERE board = $1 AND score > $2 ORDER BY score;

-- How many, and which place a score has.
SELECT count(*) FROM leaderboard WHERE board = 'nothing';
SELECT count(*) AS players FROM leaderboard l WHERE l.board = 'week' AND l.score > 80;
SELECT count(*) + 1 FROM leaderboard WHERE board = 'week' AND score > 120;
SELECT 1 + count(*) AS place FROM leaderboard WHERE board = 'week' AND score > 120;
SELECT count(*) + 1.5 FROM leaderboard WHERE board = 'week';
SELECT count(*) FROM leaderboard WHERE board IN ('week', 'month');
SELECT count(*) FROM leaderboard WHERE board = 'week' AND member > 'b';
SELECT count(*) FROM leaderboard WHERE board = 'week' LIMIT 0;
SELECT count(*) FILTER (WHERE score > 80), count(DISTINCT score) FROM leaderboard WHERE board = 'week';
-- params: text 'week', int8 80
SELECT count(*) + 1 FROM leaderboard WHERE board = $1 AND score > $2;
-- params: text 'week', int8 NULL
SELECT count(*) + 1 FROM leaderboard WHERE board = $1 AND score > $2;

-- Ranks, with ties.
INSERT INTO leaderboard VALUES ('ties', 'a', 10), ('ties', 'b', 20), ('ties', 'c', 20), ('ties', 'd', 30), ('ties', 'e', 5), ('ties', 'f', 20);
SELECT rank FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS rank FROM leaderboard WHERE board = 'ties') s WHERE member = 'c';
SELECT rank FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS rank FROM leaderboard WHERE board = 'ties') s WHERE member = 'a';
SELECT s.member, s.rank, s.score FROM (SELECT *, rank() OVER (ORDER BY score) FROM leaderboard WHERE board = 'ties') s WHERE s.member = 'b';
SELECT * FROM (SELECT member AS who, rank() OVER (PARTITION BY board ORDER BY score DESC) AS r, score AS points FROM leaderboard WHERE board = 'ties') s WHERE who = 'a';
SELECT r FROM (SELECT board, member, rank() OVER (PARTITION BY board ORDER BY score DESC) AS r FROM leaderboard) s WHERE board = 'ties' AND member = 'e';
SELECT r FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = 'ties') s WHERE member = 'nobody';
SELECT r FROM (SELECT member, dense_rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = 'ties') s WHERE member = 'a';
SELECT r FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = 'ties' AND score > 10) s WHERE member = 'b';
SELECT r FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = 'ties' AND member = 'a') s WHERE member = 'a';
SELECT r FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = 'ties' LIMIT 3) s WHERE member = 'd';
SELECT r FROM (SELECT member, rank() OVER (ORDER BY member) AS r FROM leaderboard WHERE board = 'ties') s WHERE member = 'c';
-- sorted
SELECT member FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = 'ties') s WHERE r <= 2;
-- params: text 'ties', text 'f'
SELECT r FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = $1) s WHERE member = $2;
-- params: text 'ties', text NULL
SELECT r FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = $1) s WHERE member = $2;
SELECT score, rank() OVER (ORDER BY score DESC), dense_rank() OVER (ORDER BY score DESC) FROM leaderboard WHERE board = 'ties' ORDER BY score DESC LIMIT 5;
SELECT score, rank() OVER (ORDER BY score DESC) AS r, row_number() OVER (ORDER BY score DESC) AS n FROM leaderboard WHERE board = 'ties' ORDER BY r LIMIT 3 OFFSET 2;
SELECT score, row_number() OVER (ORDER BY score) FROM leaderboard WHERE board = 'ties' ORDER BY 2;
SELECT score, rank() OVER (ORDER BY score) FROM leaderboard WHERE board = 'ties' ORDER BY score DESC;
SELECT score, rank() OVER (ORDER BY score DESC) FROM leaderboard WHERE board = 'ties' AND score < 30 ORDER BY score DESC LIMIT 4;
-- sorted
SELECT member, rank() OVER (ORDER BY score DESC NULLS LAST) FROM leaderboard WHERE board = 'ties';
SELECT member AS score, rank() OVER (ORDER BY score DESC) FROM leaderboard WHERE board = 'ties' ORDER BY score DESC LIMIT 2;
-- Ties by another column.
SELECT member, score FROM leaderboard WHERE board = 'ties' ORDER BY score DESC, member LIMIT 2;
SELECT member, score FROM leaderboard WHERE board = 'ties' ORDER BY score DESC, member DESC LIMIT 3;
SELECT member, score FROM leaderboard WHERE board = 'ties' ORDER BY score, member DESC LIMIT 2 OFFSET 2;
SELECT member FROM leaderboard WHERE board = 'ties' ORDER BY score DESC, member LIMIT 100;
SELECT member FROM leaderboard WHERE board = 'ties' AND score < 30 ORDER BY score DESC, board, member LIMIT 1 OFFSET 1;
SELECT member FROM leaderboard WHERE board = 'ties' ORDER BY score DESC, member LIMIT 0;
SELECT member FROM leaderboard WHERE board = 'ties' ORDER BY score DESC, member LIMIT -1;
SELECT member FROM leaderboard WHERE board = 'none' ORDER BY score DESC, member LIMIT 2;
-- params: text 'ties', int8 3, int8 1
SELECT member, score FROM leaderboard WHERE board = $1 ORDER BY score DESC, member LIMIT $2 OFFSET $3;
-- sorted
SELECT board, member, rank() OVER (PARTITION BY board ORDER BY score DESC) FROM leaderboard WHERE board IN ('ties', 'week');
SELECT score, rank() OVER (ORDER BY score DESC), rank() OVER (ORDER BY score) FROM leaderboard WHERE board = 'ties' ORDER BY score, 2 LIMIT 2;

BEGIN;
INSERT INTO leaderboard VALUES ('ties', 'g', 25);
DELETE FROM leaderboard WHERE board = 'ties' AND member = 'd';
SELECT count(*) FROM leaderboard WHERE board = 'ties';
SELECT count(*) + 1 FROM leaderboard WHERE board = 'ties' AND score > 10;
SELECT r FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = 'ties') s WHERE member = 'a';
SELECT score, rank() OVER (ORDER BY score DESC) FROM leaderboard WHERE board = 'ties' ORDER BY score DESC LIMIT 2;
SELECT member FROM leaderboard WHERE board = 'ties' ORDER BY score DESC LIMIT 1;
SELECT score FROM leaderboard WHERE board = 'ties' ORDER BY score DESC LIMIT 2 OFFSET 1;
SELECT member FROM leaderboard WHERE board = 'ties' AND score >= 25 ORDER BY score DESC;
SELECT member FROM leaderboard WHERE board = 'ties' ORDER BY score DESC, member LIMIT 2;
ROLLBACK;
DELETE FROM leaderboard WHERE board = 'ties';

-- Scores change.
UPDATE leaderboard SET score = 300 WHERE board = 'week' AND member = 'dee';
UPDATE leaderboard SET score = score + 50 WHERE board = 'week' AND member = 'ada' RETURNING score;
UPDATE leaderboard SET score = 1 WHERE board = 'week' AND member = 'zoe';
UPDATE leaderboard SET score = NULL WHERE board = 'week' AND member = 'ada';
INSERT INTO leaderboard VALUES ('week', 'ada', 10) ON CONFLICT (board, member) DO UPDATE SET score = leaderboard.score + excluded.score RETURNING score;
INSERT INTO leaderboard VALUES ('week', 'new', 10) ON CONFLICT (board, member) DO UPDATE SET score = excluded.score;
INSERT INTO leaderboard VALUES ('week', 'new', 11) ON CONFLICT (board, member) DO UPDATE SET score = excluded.score;
INSERT INTO leaderboard VALUES ('week', 'new', 12) ON CONFLICT (board, member) DO UPDATE SET score = greatest(leaderboard.score, excluded.score) RETURNING *;
INSERT INTO leaderboard VALUES ('week', 'new', 1) ON CONFLICT DO NOTHING;
INSERT INTO leaderboard VALUES ('week', 'max', 9007199254740991), ('week', 'min', -9007199254740991);
SELECT member, score FROM leaderboard WHERE board = 'week' ORDER BY score DESC LIMIT 3;
SELECT member, score FROM leaderboard WHERE board = 'week' ORDER BY score LIMIT 1;
UPDATE leaderboard SET score = score - 1 WHERE board = 'week' AND score < 100;
DELETE FROM leaderboard WHERE board = 'week' AND member = 'bob' RETURNING *;
DELETE FROM leaderboard WHERE board = 'week' AND member = 'bob';
DELETE FROM leaderboard WHERE board = 'week' AND score < 0;
SELECT * FROM leaderboard WHERE board = 'week' ORDER BY score DESC;

-- In a block.
BEGIN;
UPDATE leaderboard SET score = 5000 WHERE board = 'week' AND member = 'eve';
INSERT INTO leaderboard VALUES ('week', 'hal', 4000);
DELETE FROM leaderboard WHERE board = 'week' AND member = 'max';
SELECT member, score FROM leaderboard WHERE board = 'week' ORDER BY score DESC LIMIT 3;
SELECT member, score FROM leaderboard WHERE board = 'week' AND member = 'eve';
ROLLBACK;
SELECT member, score FROM leaderboard WHERE board = 'week' ORDER BY score DESC LIMIT 3;

-- Members as people write them.
INSERT INTO leaderboard VALUES ('emoji 🏆', 'Zoë :{}* "x"', 1);
-- not: dynamodb, dynoxide
INSERT INTO leaderboard VALUES ('emoji 🏆', '', 2);
SELECT * FROM leaderboard WHERE board = 'emoji 🏆' ORDER BY score;
