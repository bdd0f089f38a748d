-- Transaction blocks: what a block has written it reads, what it rolls back never was.
-- table: public.accounts
-- table: public.entries

CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL, balance numeric(12,2) NOT NULL DEFAULT 0 CHECK (balance >= 0));
CREATE TABLE entries (account int, n int, note text, PRIMARY KEY (account, n));
CREATE TABLE log (id int PRIMARY KEY, what text NOT NULL);

INSERT INTO accounts VALUES (1, 'ada', 100), (2, 'bob', 50);
INSERT INTO entries VALUES (1, 1, 'first'), (1, 2, 'second'), (1, 5, 'fifth');

-- Commit.
BEGIN;
INSERT INTO accounts VALUES (3, 'cy', 0);
SELECT * FROM accounts WHERE id = 3;
UPDATE accounts SET balance = balance - 10 WHERE id = 1;
UPDATE accounts SET balance = balance + 10 WHERE id = 3;
SELECT id, balance FROM accounts ORDER BY id;
INSERT INTO log VALUES (1, 'transfer');
COMMIT;
SELECT * FROM accounts ORDER BY id;
SELECT * FROM log ORDER BY id;

-- Roll back.
BEGIN;
INSERT INTO accounts VALUES (4, 'dee', 1);
UPDATE accounts SET balance = 0 WHERE id = 1;
DELETE FROM accounts WHERE id = 2;
INSERT INTO log VALUES (2, 'never');
SELECT * FROM accounts ORDER BY id;
SELECT count(*) FROM log;
ROLLBACK;
SELECT * FROM accounts ORDER BY id;
SELECT * FROM log ORDER BY id;

-- Read your writes: by key, by range, in joins.
START TRANSACTION ISOLATION LEVEL READ COMMITTED;
INSERT INTO entries VALUES (1, 3, 'third'), (1, 4, 'fourth');
UPDATE entries SET note = 'SECOND' WHERE account = 1 AND n = 2;
DELETE FROM entries WHERE account = 1 AND n = 1;
SELECT * FROM entries WHERE account = 1 ORDER BY n;
SELECT * FROM entries WHERE account = 1 ORDER BY n DESC LIMIT 2;
SELECT * FROM entries WHERE account = 1 AND n BETWEEN 1 AND 3 ORDER BY n;
SELECT * FROM entries WHERE account = 1 AND n = 1;
SELECT a.owner, e.note FROM accounts a JOIN entries e ON e.account = a.id ORDER BY e.n;
SELECT count(*), max(n) FROM entries;
DELETE FROM entries WHERE account = 1 AND n = 1;
INSERT INTO entries VALUES (1, 1, 'again');
INSERT INTO entries VALUES (1, 3, 'x') ON CONFLICT DO NOTHING;
INSERT INTO entries VALUES (1, 3, 'y') ON CONFLICT (account, n) DO UPDATE SET note = entries.note || excluded.note RETURNING *;
-- sorted
UPDATE entries SET n = n + 10 WHERE account = 1 AND n > 3 RETURNING *;
-- sorted
SELECT * FROM entries;
END;
SELECT * FROM entries WHERE account = 1 ORDER BY n;

-- An error, and 25P02 after it.
BEGIN;
INSERT INTO accounts VALUES (5, 'eve', 5);
INSERT INTO accounts VALUES (1, 'dup', 0);
SELECT 1;
SELECT * FROM accounts WHERE id = 5;
INSERT INTO accounts VALUES (6, 'fay', 5);
COMMIT;
SELECT * FROM accounts ORDER BY id;
BEGIN;
UPDATE accounts SET balance = -1 WHERE id = 1;
SELECT * FROM accounts WHERE id = 1;
ROLLBACK;
BEGIN;
INSERT INTO accounts VALUES (7, NULL, 5);
ROLLBACK;
BEGIN;
SELECT nosuch FROM accounts;
SELECT 1;
ROLLBACK;
BEGIN;
INSERT INTO accounts VALUES (8, 'hal', 5);
INSERT INTO accounts VALUES (8, 'hal', 5);
COMMIT;
SELECT * FROM accounts WHERE id = 8;
BEGIN;
INSERT INTO accounts VALUES (8, 'hal', 5);
SELECT 1 / 0;
ROLLBACK;
SELECT * FROM accounts WHERE id = 8;

-- Savepoints.
BEGIN;
INSERT INTO accounts VALUES (10, 'ten', 10);
SAVEPOINT one;
UPDATE accounts SET balance = 11 WHERE id = 10;
INSERT INTO accounts VALUES (11, 'eleven', 11);
SAVEPOINT two;
DELETE FROM accounts WHERE id = 10;
SELECT id FROM accounts WHERE id >= 10 ORDER BY id;
ROLLBACK TO two;
SELECT id, balance FROM accounts WHERE id >= 10 ORDER BY id;
ROLLBACK TO SAVEPOINT one;
SELECT id, balance FROM accounts WHERE id >= 10 ORDER BY id;
INSERT INTO accounts VALUES (1, 'dup', 0);
ROLLBACK TO one;
SELECT id, balance FROM accounts WHERE id >= 10 ORDER BY id;
INSERT INTO accounts VALUES (12, 'twelve', 12);
RELEASE SAVEPOINT one;
ROLLBACK TO one;
ROLLBACK;
SELECT count(*) FROM accounts WHERE id >= 10;
BEGIN;
SAVEPOINT a;
INSERT INTO accounts VALUES (20, 'twenty', 20);
RELEASE a;
SAVEPOINT a;
INSERT INTO accounts VALUES (21, 'twenty-one', 21);
ROLLBACK TO a;
COMMIT;
SELECT * FROM accounts WHERE id >= 20 ORDER BY id;

-- A write, its undoing, and settings.
BEGIN;
INSERT INTO accounts VALUES (30, 'x', 1);
DELETE FROM accounts WHERE id = 30;
COMMIT;
SELECT * FROM accounts WHERE id = 30;
BEGIN;
DELETE FROM accounts WHERE id = 20;
INSERT INTO accounts VALUES (20, 'reborn', 2);
COMMIT AND CHAIN;
SELECT * FROM accounts WHERE id = 20;
UPDATE accounts SET balance = 3 WHERE id = 20;
ROLLBACK AND CHAIN;
SELECT balance FROM accounts WHERE id = 20;
COMMIT;
BEGIN READ ONLY;
SELECT * FROM accounts WHERE id = 20;
INSERT INTO accounts VALUES (40, 'ro', 0);
ROLLBACK;
BEGIN READ ONLY;
UPDATE accounts SET balance = 9 WHERE id = 20;
ROLLBACK;
BEGIN READ ONLY;
DELETE FROM accounts WHERE id = 20;
ROLLBACK;
SELECT * FROM accounts WHERE id IN (20, 40) ORDER BY id;
BEGIN;
SET LOCAL TimeZone = 'Europe/Berlin';
UPDATE accounts SET owner = current_setting('TimeZone') WHERE id = 20;
COMMIT;
SELECT owner, current_setting('TimeZone') FROM accounts WHERE id = 20;
COMMIT;
ROLLBACK;
BEGIN;
BEGIN;
COMMIT;
BEGIN;
UPDATE accounts SET owner = 'twice' WHERE id = 20;
BEGIN;
COMMIT;
SELECT owner FROM accounts WHERE id = 20;
SAVEPOINT outside;
INSERT INTO accounts VALUES (50, 'auto', 1), (51, 'auto', 2), (1, 'dup', 3);
SELECT count(*) FROM accounts WHERE id >= 50;
UPDATE accounts SET balance = balance - 60 WHERE id IN (1, 2);
SELECT id, balance FROM accounts WHERE id IN (1, 2) ORDER BY id;
