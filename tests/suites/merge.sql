-- MERGE into a store table, from one, and from one into another.
-- table: public.stock
-- table: public.deliveries

CREATE TABLE stock (item text PRIMARY KEY, amount int NOT NULL, note text DEFAULT 'new', CHECK (amount >= 0));
CREATE TABLE deliveries (id int PRIMARY KEY, item text, amount int);
CREATE TABLE shop (item text PRIMARY KEY, wanted int);
INSERT INTO stock VALUES ('apple', 5, 'a'), ('pear', 0, 'p'), ('plum', 7, NULL);
INSERT INTO deliveries VALUES (1, 'apple', 3), (2, 'fig', 9), (3, 'pear', NULL);
INSERT INTO shop VALUES ('apple', 1), ('kiwi', 2), ('plum', 3);

MERGE INTO stock USING shop ON stock.item = shop.item WHEN MATCHED THEN UPDATE SET amount = stock.amount + shop.wanted WHEN NOT MATCHED THEN INSERT (item, amount) VALUES (shop.item, shop.wanted);
SELECT * FROM stock ORDER BY item;
MERGE INTO stock AS s USING deliveries AS d ON s.item = d.item WHEN MATCHED AND d.amount IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET amount = s.amount + d.amount, note = DEFAULT WHEN NOT MATCHED AND d.amount > 100 THEN INSERT VALUES (d.item, d.amount, 'many') WHEN NOT MATCHED THEN INSERT (amount, item) VALUES (d.amount, d.item);
SELECT * FROM stock ORDER BY item;
MERGE INTO shop USING stock ON shop.item = stock.item WHEN MATCHED THEN UPDATE SET wanted = stock.amount WHEN NOT MATCHED THEN INSERT VALUES (stock.item, -1);
SELECT * FROM shop ORDER BY item;
MERGE INTO stock s USING (VALUES ('apple', 100), ('date', 1)) AS v(item, amount) ON s.item = v.item WHEN MATCHED THEN UPDATE SET amount = v.amount WHEN NOT MATCHED THEN INSERT VALUES (v.item, v.amount, NULL);
SELECT * FROM stock WHERE item IN ('apple', 'date') ORDER BY item;
MERGE INTO stock s USING (SELECT item, sum(amount)::int AS amount FROM deliveries GROUP BY item) d ON s.item = d.item AND d.amount > 0 WHEN MATCHED THEN UPDATE SET amount = s.amount - d.amount;
SELECT * FROM stock ORDER BY item;
-- params: text 'apple', int4 -1
MERGE INTO stock s USING (SELECT $1::text AS item) v ON s.item = v.item WHEN MATCHED THEN UPDATE SET amount = s.amount + $2 WHEN NOT MATCHED THEN INSERT VALUES (v.item, 0, 'param');
-- params: text 'melon', int4 -1
MERGE INTO stock s USING (SELECT $1::text AS item) v ON s.item = v.item WHEN MATCHED THEN UPDATE SET amount = s.amount + $2 WHEN NOT MATCHED THEN INSERT VALUES (v.item, 0, 'param');
SELECT * FROM stock ORDER BY item;

-- What it can break.
MERGE INTO stock s USING shop ON s.item = shop.item AND shop.item = 'plum' WHEN MATCHED THEN UPDATE SET amount = -1;
MERGE INTO stock s USING (VALUES ('plum')) v(item) ON false WHEN NOT MATCHED THEN INSERT VALUES (v.item, 1);
MERGE INTO stock s USING (VALUES ('x'), ('x')) v(item) ON s.item = v.item WHEN NOT MATCHED THEN INSERT VALUES (v.item, 1);
MERGE INTO stock s USING (VALUES ('plum'), ('plum')) v(item) ON s.item = v.item WHEN MATCHED THEN UPDATE SET amount = 1;
MERGE INTO stock s USING shop ON s.item = shop.item WHEN MATCHED THEN UPDATE SET nothing = 1;
MERGE INTO stock s USING shop ON s.item = shop.item WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT VALUES (shop.item, 0);
SELECT * FROM stock ORDER BY item;

BEGIN;
MERGE INTO stock s USING shop ON s.item = shop.item WHEN MATCHED THEN UPDATE SET note = 'block';
SELECT * FROM stock ORDER BY item;
MERGE INTO stock s USING stock o ON s.item = o.item AND o.amount > 50 WHEN MATCHED THEN DELETE;
SELECT * FROM stock ORDER BY item;
ROLLBACK;
SELECT * FROM stock ORDER BY item;
MERGE INTO stock s USING stock o ON s.item = o.item AND o.amount > 50 WHEN MATCHED THEN DELETE;
