-- Points of the week, and of all time.
INSERT INTO leaderboard (board, member, score) VALUES
    ('all-time', 'samuel', 77970),
    ('weekly', 'dmitri', 910),
    ('weekly', 'samuel', 380),
    ('all-time', 'nadia', 82270),
    ('weekly', 'priya', 2250),
    ('all-time', 'pierre', 57420),
    ('weekly', 'lucia', 540),
    ('weekly', 'oskar', 700),
    ('all-time', 'chloe', 26160),
    ('all-time', 'dmitri', 83780),
    ('all-time', 'oskar', 19320),
    ('weekly', 'ana', 1200),
    ('all-time', 'tomasz', 44270),
    ('weekly', 'nadia', 1820),
    ('weekly', 'sofia', 1900);

INSERT INTO leaderboard (board, member, score) VALUES
    ('all-time', 'priya', 15360),
    ('weekly', 'pierre', 250),
    ('weekly', 'elif', 1400),
    ('weekly', 'linh', 2230),
    ('all-time', 'elif', 82290),
    ('all-time', 'amara', 50770),
    ('weekly', 'chloe', 1930),
    ('all-time', 'ana', 63490),
    ('all-time', 'hannah', 23140),
    ('all-time', 'jiwoo', 89700),
    ('weekly', 'tomasz', 1420),
    ('weekly', 'jonas', 1190),
    ('all-time', 'lucia', 79580),
    ('all-time', 'ingrid', 10140),
    ('weekly', 'mei', 750);
