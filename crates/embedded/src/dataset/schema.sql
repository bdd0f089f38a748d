-- Relational: these stay in PostgreSQL.
CREATE TABLE IF NOT EXISTS users (
    id              bigint PRIMARY KEY,
    name            text NOT NULL,
    email           text NOT NULL UNIQUE,
    native_language text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS lessons (
    id       bigint PRIMARY KEY,
    title    text NOT NULL,
    language text NOT NULL,
    level    integer NOT NULL CHECK (level BETWEEN 1 AND 6)
);

CREATE TABLE IF NOT EXISTS enrolments (
    user_id     bigint NOT NULL REFERENCES users (id),
    lesson_id   bigint NOT NULL REFERENCES lessons (id),
    progress    numeric(5, 2) NOT NULL DEFAULT 0,
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, lesson_id)
);

CREATE TABLE IF NOT EXISTS words (
    id          bigint PRIMARY KEY,
    language    text NOT NULL,
    word        text NOT NULL,
    translation text NOT NULL,
    frequency   integer NOT NULL
);

-- Read and written by key: these have a home elsewhere.
CREATE TABLE IF NOT EXISTS search_history (
    user_id     bigint,
    searched_at timestamptz,
    query       text NOT NULL,
    results     integer,
    filters     jsonb,
    PRIMARY KEY (user_id, searched_at)
);

CREATE TABLE IF NOT EXISTS sessions (
    id         uuid PRIMARY KEY,
    user_id    bigint NOT NULL,
    device     text,
    data       jsonb,
    created_at timestamptz,
    expires_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS leaderboard (
    board  text,
    member text,
    score  bigint NOT NULL,
    PRIMARY KEY (board, member)
);
