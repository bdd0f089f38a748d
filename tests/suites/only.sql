-- ONLY: a store table has no children, so it means the table. Tables in PostgreSQL have.
-- table: public.carts
-- table: public.lines

CREATE TABLE carts (id int PRIMARY KEY, owner text NOT NULL, total int);
CREATE TABLE lines (cart int, n int, what text, PRIMARY KEY (cart, n));
CREATE TABLE people (name text PRIMARY KEY, age int);
CREATE TABLE staff (room int) INHERITS (people);
INSERT INTO carts VALUES (1, 'ada', 5), (2, 'linus', 7), (3, 'grace', NULL);
INSERT INTO lines VALUES (1, 1, 'pen'), (1, 2, 'ink'), (2, 1, 'cup');
INSERT INTO people VALUES ('ada', 36);
INSERT INTO staff VALUES ('linus', 54, 1);

SELECT * FROM ONLY carts WHERE id = 1;
SELECT total FROM only (carts) WHERE id IN (2, 3) ORDER BY id;
SELECT c.owner FROM ONLY public.carts AS c WHERE c.id = 2;
SELECT * FROM ONLY lines WHERE cart = 1 ORDER BY n DESC LIMIT 1;
SELECT count(*), sum(total) FROM ONLY carts;
SELECT c.owner, p.age FROM ONLY carts c JOIN people p ON p.name = c.owner ORDER BY 1;
SELECT c.owner, p.age FROM carts c JOIN ONLY people p ON p.name = c.owner ORDER BY 1;
SELECT c.owner, p.age FROM ONLY (carts) c LEFT JOIN ONLY (people) p ON p.name = c.owner ORDER BY 1;
SELECT l.what FROM carts c, ONLY lines l WHERE l.cart = c.id AND c.owner = 'ada' ORDER BY 1;
SELECT what FROM lines WHERE cart IN (SELECT id FROM ONLY carts WHERE owner = 'linus');
TABLE ONLY staff;
-- sorted
TABLE ONLY carts;
-- params: int4 2
SELECT owner FROM ONLY carts WHERE id = $1;
BEGIN;
SELECT owner FROM ONLY carts WHERE id = 1 FOR UPDATE OF carts;
UPDATE ONLY carts SET total = 6 WHERE id = 1;
SELECT total FROM ONLY carts WHERE id = 1;
COMMIT;
-- sorted
UPDATE ONLY (carts) AS c SET total = coalesce(c.total, 0) + 1 RETURNING id, total;
UPDATE ONLY carts SET total = p.age FROM ONLY people p WHERE p.name = carts.owner;
UPDATE ONLY people SET age = age + 1 WHERE name IN (SELECT owner FROM ONLY carts);
DELETE FROM ONLY lines WHERE cart = 1 AND n = 2;
DELETE FROM ONLY lines USING ONLY carts c WHERE c.id = lines.cart AND c.owner = 'linus' RETURNING what;
MERGE INTO ONLY carts c USING ONLY people p ON p.name = c.owner WHEN MATCHED THEN UPDATE SET total = -p.age;
CREATE VIEW few AS SELECT id, owner FROM ONLY carts WHERE id < 3;
SELECT * FROM ONLY few ORDER BY id;
SELECT * FROM people ORDER BY name;
SELECT * FROM carts ORDER BY id;
SELECT only FROM carts;
SELECT * FROM ONLY nowhere;
