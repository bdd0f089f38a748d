-- ALTER TABLE of tables with and without rows.
-- table: public.books
-- table: public.lines
-- table: public.empty

CREATE TABLE books (id int PRIMARY KEY, title varchar(20), pages int, price numeric(10,2), code text DEFAULT 'x');
CREATE TABLE lines (book int, line int, body text, PRIMARY KEY (book, line));
CREATE TABLE empty (id int PRIMARY KEY, a text);
INSERT INTO books VALUES (1, 'one', 100, 1.50, 'a'), (2, 'two', NULL, NULL, NULL), (3, 'three', 300, 3.00, 'c');
INSERT INTO lines VALUES (1, 1, 'first'), (1, 2, 'second'), (2, 1, NULL);

-- A column more.
ALTER TABLE books ADD COLUMN note text;
SELECT * FROM books ORDER BY id;
ALTER TABLE books ADD COLUMN note text;
ALTER TABLE books ADD COLUMN IF NOT EXISTS note text;
UPDATE books SET note = 'noted' WHERE id = 1;
ALTER TABLE books ADD stock int NOT NULL DEFAULT 7;
SELECT * FROM books ORDER BY id;
SELECT * FROM books WHERE id = 2;
INSERT INTO books (id, title) VALUES (4, 'four') RETURNING *;
UPDATE books SET stock = stock - 1 WHERE id = 2 RETURNING stock;
ALTER TABLE books ADD needed int NOT NULL;
ALTER TABLE books ADD rated boolean DEFAULT false, ADD tags text[] DEFAULT '{a,"b c"}', ADD at timestamptz DEFAULT '2026-01-02 03:04:05+00';
SELECT * FROM books ORDER BY id;
SELECT rated, tags, at FROM books WHERE id = 3;
ALTER TABLE lines ADD COLUMN words int DEFAULT 2 CHECK (words > 0);
SELECT * FROM lines ORDER BY book, line;
SELECT * FROM lines WHERE book = 1 AND line = 2;
INSERT INTO lines (book, line, words) VALUES (3, 1, 0);
ALTER TABLE books ADD COLUMN doubled int GENERATED ALWAYS AS (pages * 2) STORED;
SELECT id, pages, doubled FROM books ORDER BY id;
UPDATE books SET pages = pages + 1 WHERE id = 1 RETURNING pages, doubled;
SELECT pages, doubled FROM books WHERE id = 1;
INSERT INTO books (id, pages) VALUES (5, 5) RETURNING doubled;
UPDATE books SET doubled = 3 WHERE id = 1;
ALTER TABLE empty ADD COLUMN b int NOT NULL, ADD c uuid DEFAULT gen_random_uuid();
INSERT INTO empty (id, b, c) VALUES (1, 2, NULL) RETURNING *;

-- A column less, and one of its name.
ALTER TABLE books DROP COLUMN note;
SELECT * FROM books WHERE id = 1;
SELECT note FROM books WHERE id = 1;
ALTER TABLE books ADD COLUMN note text;
SELECT id, note FROM books ORDER BY id;
SELECT note FROM books WHERE id = 1;
ALTER TABLE books DROP COLUMN nothing;
ALTER TABLE books DROP COLUMN pages;
ALTER TABLE books DROP COLUMN doubled, DROP COLUMN rated;
ALTER TABLE books DROP COLUMN IF EXISTS nothing;
INSERT INTO books (id, title, pages) VALUES (6, 'six', 6) RETURNING *;

-- Another name.
ALTER TABLE books RENAME COLUMN title TO name;
SELECT * FROM books ORDER BY id;
SELECT name FROM books WHERE id = 2;
SELECT title FROM books WHERE id = 2;
UPDATE books SET name = 'changed' WHERE id = 2 RETURNING *;
ALTER TABLE books RENAME name TO stock;
ALTER TABLE lines RENAME body TO "Text body";
SELECT "Text body" FROM lines WHERE book = 1 ORDER BY line;
ALTER TABLE books ADD COLUMN title text;
SELECT id, title, name FROM books ORDER BY id;

-- Defaults and NULL.
ALTER TABLE books ALTER COLUMN code SET DEFAULT 'new';
INSERT INTO books (id) VALUES (7) RETURNING code, stock;
ALTER TABLE books ALTER COLUMN code DROP DEFAULT;
INSERT INTO books (id) VALUES (8) RETURNING code, stock;
ALTER TABLE books ALTER COLUMN name SET NOT NULL;
ALTER TABLE books ALTER COLUMN stock SET NOT NULL;
UPDATE books SET stock = NULL WHERE id = 1;
ALTER TABLE books ALTER COLUMN stock DROP NOT NULL;
UPDATE books SET stock = NULL WHERE id = 1 RETURNING stock;
ALTER TABLE books ALTER COLUMN stock SET NOT NULL;
ALTER TABLE lines ALTER COLUMN book DROP NOT NULL;

-- Checks.
ALTER TABLE books ADD CONSTRAINT priced CHECK (price > 2);
ALTER TABLE books ADD CONSTRAINT priced CHECK (price > 1);
UPDATE books SET price = 0 WHERE id = 1;
UPDATE books SET price = 2.25 WHERE id = 1 RETURNING price;
ALTER TABLE books RENAME CONSTRAINT priced TO costly;
UPDATE books SET price = 0 WHERE id = 1;
ALTER TABLE books DROP CONSTRAINT costly;
UPDATE books SET price = 0 WHERE id = 1;

-- Types.
ALTER TABLE books ALTER COLUMN pages TYPE bigint;
UPDATE books SET pages = 5000000000 WHERE id = 1 RETURNING pages;
ALTER TABLE books ALTER COLUMN pages TYPE int;
ALTER TABLE books ALTER COLUMN name TYPE text;
UPDATE books SET name = 'much longer than twenty characters' WHERE id = 1 RETURNING name;
ALTER TABLE books ALTER COLUMN name TYPE varchar(10);
ALTER TABLE books ALTER COLUMN name TYPE varchar(100);
ALTER TABLE books ALTER COLUMN price TYPE numeric(12,2);
SELECT price FROM books ORDER BY id;
SELECT id, name, pages, price FROM books WHERE id = 3;
ALTER TABLE books ALTER COLUMN name TYPE int USING length(name), ALTER COLUMN nothing TYPE int;
DELETE FROM empty;
ALTER TABLE empty ALTER COLUMN a TYPE int USING a::int, DROP COLUMN c;
INSERT INTO empty VALUES (1, 2, 3);
SELECT * FROM empty WHERE id = 1;

-- What doesn't concern the rows.
ALTER TABLE books OWNER TO CURRENT_USER;
ALTER TABLE books SET (fillfactor = 70);
ALTER TABLE books ALTER COLUMN name SET STATISTICS 100;
ALTER TABLE books ALTER COLUMN name SET STORAGE EXTERNAL;
ALTER TABLE IF EXISTS nothing ADD COLUMN books int;
ALTER TABLE nothing ADD COLUMN books int;
ALTER TABLE ONLY public.books ADD COLUMN last int;
SELECT * FROM books WHERE id = 3;

-- In a block.
BEGIN;
ALTER TABLE books ADD COLUMN more int;
INSERT INTO books (id, more) VALUES (20, 1) RETURNING *;
SELECT id, more FROM books WHERE id = 20;
COMMIT;
SELECT id, more FROM books WHERE id = 20;
BEGIN;
ALTER TABLE books ADD COLUMN never int;
ROLLBACK;
SELECT * FROM books WHERE id = 20;
SELECT never FROM books WHERE id = 20;
BEGIN;
SAVEPOINT s;
ALTER TABLE books ADD COLUMN never int;
SELECT never FROM books WHERE id = 20;
ROLLBACK TO s;
SELECT * FROM books WHERE id = 20;
UPDATE books SET more = 2 WHERE id = 20 RETURNING *;
COMMIT;
SELECT * FROM books WHERE id = 20;
