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
