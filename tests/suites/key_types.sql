-- Keys of built-in types whose values are compared otherwise than they are printed, or are kept as they are printed: char(n), time, addresses, names, numbers of objects.
-- table: public.codes index=codes_by_lang:lang,code
-- table: public.hours
-- table: public.hosts
-- table: public.routes
-- table: public.cards
-- table: public.objects

CREATE TABLE codes (code char(4) COLLATE "C" PRIMARY KEY, name text, lang char(2) COLLATE "C" NOT NULL);
CREATE TABLE hours (shop int, at time, note text, till time(0), PRIMARY KEY (shop, at));
CREATE TABLE hosts (address inet PRIMARY KEY, card macaddr, hits int);
CREATE TABLE routes (tenant int, network cidr, via inet, PRIMARY KEY (tenant, network));
CREATE TABLE cards (card macaddr, at time(2), n int, PRIMARY KEY (card, at));
CREATE TABLE objects (kind name, number oid, what text, PRIMARY KEY (kind, number));

INSERT INTO codes VALUES ('a', 'one', 'en'), ('ab', 'two', 'de'), ('abcd', 'four', 'de'), (E'a\u0001', 'control', 'x');
INSERT INTO codes VALUES ('b   ', 'blanks', 'en');
INSERT INTO codes VALUES ('bc      ', 'more blanks', 'en');
INSERT INTO codes VALUES ('toolong', 'no', 'en');
INSERT INTO codes VALUES ('a   ', 'twice', 'en');
INSERT INTO codes VALUES ('a', 'twice', 'en') ON CONFLICT (code) DO UPDATE SET name = 'again' RETURNING *;
INSERT INTO codes VALUES ('ü', 'umlaut', 'de') RETURNING *, length(code), octet_length(code);
-- params: bpchar 'p', text 'parameter', bpchar 'en'
INSERT INTO codes VALUES ($1, $2, $3) RETURNING *;
SELECT * FROM codes WHERE code = 'a';
SELECT * FROM codes WHERE code = 'a ';
SELECT * FROM codes WHERE code = 'a       ';
SELECT * FROM codes WHERE code = 'abcdef';
SELECT * FROM codes WHERE code = 'abcd';
SELECT * FROM codes WHERE code = 'a'::text;
SELECT * FROM codes WHERE code = 'a '::text;
SELECT * FROM codes WHERE code = 'a '::bpchar;
SELECT * FROM codes WHERE code = 'abcde'::char(5);
SELECT * FROM codes WHERE code IN ('a', 'b', 'none', 'muchlonger') ORDER BY code;
-- params: bpchar 'ab '
SELECT * FROM codes WHERE code = $1;
-- params: bpchar 'abcde'
SELECT * FROM codes WHERE code = $1;
-- params: bpchar[] '{a,"b ",abcde,NULL}'
SELECT * FROM codes WHERE code = ANY ($1) ORDER BY code;
-- params: text 'ab'
SELECT * FROM codes WHERE code = $1::text;
SELECT code, name FROM codes WHERE lang = 'de' ORDER BY code;
SELECT code, name FROM codes WHERE lang = 'de' AND code > 'ab' ORDER BY code;
SELECT code, name FROM codes WHERE lang = 'de' AND code <= 'ab  ' ORDER BY code DESC LIMIT 1;
SELECT code FROM codes ORDER BY code;
SELECT code FROM codes WHERE code < 'ab' ORDER BY code;
UPDATE codes SET lang = 'x', name = name || '!' WHERE code = 'ab' RETURNING *;
SELECT code, name FROM codes WHERE lang = 'x' ORDER BY code;
DELETE FROM codes WHERE code = 'ab  ' RETURNING code;

INSERT INTO hours VALUES (1, '09:00', 'nine', '10:00'), (1, '09:00:00.5', 'half a second', '10:00:00.4'), (1, '24:00', 'end', NULL), (1, '00:00', 'begin', '23:59:59'), (2, '12:30:15.123456', 'micros', NULL);
INSERT INTO hours VALUES (1, '9:00 AM', 'twice', NULL);
INSERT INTO hours VALUES (1, '25:00', 'none', NULL);
INSERT INTO hours VALUES (1, '04:05 PM', 'afternoon', '23:59:59.9');
INSERT INTO hours VALUES (1, '2026-01-02 05:06:07', 'of a day', 'allballs');
-- params: int4 3, time '07:08:09.1', text 'parameter', time '07:08:09.6'
INSERT INTO hours VALUES ($1, $2, $3, $4) RETURNING *;
SELECT * FROM hours WHERE shop = 1 ORDER BY at;
SELECT * FROM hours WHERE shop = 1 AND at = '09:00';
SELECT * FROM hours WHERE shop = 1 AND at = '09:00:00.000';
SELECT * FROM hours WHERE shop = 1 AND at = '9 am';
SELECT note FROM hours WHERE shop = 1 AND at > '09:00' ORDER BY at;
SELECT note FROM hours WHERE shop = 1 AND at >= '09:00:00.1' AND at <= '16:05' ORDER BY at DESC;
SELECT note FROM hours WHERE shop = 1 AND at BETWEEN '00:00' AND '24:00' ORDER BY at LIMIT 2;
SELECT note FROM hours WHERE shop = 1 AND at > '09:00'::time ORDER BY at LIMIT 1;
SELECT note FROM hours WHERE shop = 1 AND at > '09:00'::interval ORDER BY at;
-- params: int4 1, time '09:00:00.5'
SELECT * FROM hours WHERE shop = $1 AND at >= $2 ORDER BY at;
-- params: int4 1, time[] '{09:00,24:00:00,NULL}'
SELECT note FROM hours WHERE shop = $1 AND at = ANY ($2) ORDER BY at;
UPDATE hours SET till = '11:11:11.5' WHERE shop = 1 AND at = '09:00' RETURNING *;
SET DateStyle = 'German';
SELECT * FROM hours WHERE shop = 1 ORDER BY at;
RESET DateStyle;
DELETE FROM hours WHERE shop = 1 AND at = '24:00' RETURNING note;

INSERT INTO hosts VALUES ('10.0.0.1', '08:00:2b:01:02:03', 1), ('10.0.0.1/8', '08-00-2b-01-02-04', 2), ('::1', NULL, 3), ('2001:db8::1', NULL, 4), ('::ffff:1.2.3.4', NULL, 5), ('9.255.255.255', NULL, 6);
INSERT INTO hosts VALUES ('10.0.0.1/32', NULL, 0);
INSERT INTO hosts VALUES ('2001:DB8:0:0::1', NULL, 0);
INSERT INTO hosts VALUES ('10.0.0', NULL, 0);
SELECT * FROM hosts WHERE address = '10.0.0.1';
SELECT * FROM hosts WHERE address = '10.0.0.1/32';
SELECT * FROM hosts WHERE address = '10.0.0.1/8';
SELECT * FROM hosts WHERE address = '::ffff:102:304';
SELECT * FROM hosts WHERE address = '10.0.0.1'::inet;
SELECT * FROM hosts WHERE address = '10.0.0.1'::cidr;
SELECT * FROM hosts WHERE address IN ('::1', '10.0.0.1', '1.1.1.1') ORDER BY address;
SELECT * FROM hosts ORDER BY address;
SELECT hits FROM hosts WHERE address << '10.0.0.0/7' ORDER BY address;
-- params: inet '2001:db8::1'
SELECT * FROM hosts WHERE address = $1;
-- params: inet '10.0.0.1/8', macaddr '08:00:2b:01:02:05'
UPDATE hosts SET hits = hits + 10, card = $2 WHERE address = $1 RETURNING *;
-- params: inet[] '{10.0.0.1,::1,NULL}'
SELECT * FROM hosts WHERE address = ANY ($1) ORDER BY address;
DELETE FROM hosts WHERE address = '::1' RETURNING *;

INSERT INTO routes VALUES (1, '10.0.0.0/8', '192.168.0.1'), (1, '10', NULL), (1, '192.168.1', '::'), (1, '10.0.0.1', NULL), (1, '2001:db8::/32', '2001:db8::1/64');
INSERT INTO routes VALUES (1, '192.168.1', '::'), (1, '10.0.0.1', NULL), (1, '2001:db8::/32', '2001:db8::1/64'), (1, '10.0.0.0/8', '192.168.0.1');
INSERT INTO routes VALUES (1, '10.0.0.1/8', NULL);
SELECT * FROM routes WHERE tenant = 1 ORDER BY network;
SELECT * FROM routes WHERE tenant = 1 AND network = '10.0.0.0/8';
SELECT * FROM routes WHERE tenant = 1 AND network = '10.0.0.1/8';
SELECT * FROM routes WHERE tenant = 1 AND network = '10.0.0.1';
SELECT * FROM routes WHERE tenant = 1 AND network = '192.168.1.0/24'::cidr;
SELECT * FROM routes WHERE tenant = 1 AND network > '10.0.0.0/8' ORDER BY network;
-- params: int4 1, inet '10.0.0.1'
SELECT * FROM routes WHERE tenant = $1 AND network = $2;
-- params: int4 1, inet '10.0.0.1/8'
SELECT * FROM routes WHERE tenant = $1 AND network = $2;
-- params: int4 1, cidr '10.0.0.0/8'
SELECT * FROM routes WHERE tenant = $1 AND network = $2;
UPDATE routes SET via = '10.9.9.9' WHERE tenant = 1 AND network = '10.0.0.0/8' RETURNING *;

INSERT INTO cards VALUES ('08:00:2b:01:02:03', '01:02:03.456', 1), ('08002b010203', '01:02:03.5', 2), ('08002B010203', '01:02:03.46', 3);
INSERT INTO cards VALUES ('08:00:2b:01:02:03', '01:02:03.456', 1), ('08002b010203', '01:02:03.5', 2), ('f8:00:2b:01:02:03', '01:02', 3);
SELECT * FROM cards WHERE card = '08:00:2b:01:02:03' ORDER BY at;
SELECT * FROM cards WHERE card = '08:00:2b:01:02:03' AND at = '01:02:03.456';
SELECT * FROM cards WHERE card = '0800.2b01.0203' AND at = '01:02:03.46';
SELECT * FROM cards WHERE card = '08:00:2b:01:02:03' AND at < '01:02:03.4999' ORDER BY at;
SELECT * FROM cards WHERE card > '08:00:2b:01:02:03' ORDER BY card;
-- params: macaddr '08:00:2b:01:02:03', time '01:02:03.5'
SELECT * FROM cards WHERE card = $1 AND at = $2;

INSERT INTO objects VALUES ('table', 1, 'one'), ('table', 4294967295, 'last'), ('table', 10, 'ten'), ('table', 9, 'nine'), (repeat('n', 70)::name, 1, 'cut off');
INSERT INTO objects VALUES ('table', -1, 'the last again');
INSERT INTO objects VALUES ('table', 4294967296, 'too large');
SELECT * FROM objects WHERE kind = 'table' ORDER BY number;
SELECT * FROM objects WHERE kind = 'table' AND number = 10;
SELECT * FROM objects WHERE kind = 'table' AND number = '10';
SELECT * FROM objects WHERE kind = 'table' AND number = -1;
SELECT * FROM objects WHERE kind = 'table' AND number = 5000000000;
SELECT * FROM objects WHERE kind = 'table' AND number > 9 ORDER BY number;
SELECT what FROM objects WHERE kind = 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn' AND number = 1;
SELECT what FROM objects WHERE kind = 'table'::text AND number = 1;
-- params: name 'table', oid 4294967295
SELECT * FROM objects WHERE kind = $1 AND number = $2;
-- params: name 'table', int8 10
SELECT * FROM objects WHERE kind = $1 AND number = $2;

CREATE TABLE visits (id int PRIMARY KEY, code char(6), address inet);
INSERT INTO visits VALUES (1, 'a', '10.0.0.1'), (2, 'abcd', '10.0.0.1/8'), (3, 'abcdef', NULL);
SELECT v.id, c.code, c.name FROM visits v JOIN codes c ON c.code = v.code ORDER BY v.id;
SELECT v.id, h.hits FROM visits v JOIN hosts h ON h.address = v.address ORDER BY v.id;
BEGIN;
INSERT INTO hosts VALUES ('1.2.3.4', NULL, 9);
SELECT * FROM hosts WHERE address = '1.2.3.4';
ROLLBACK;
SELECT * FROM hosts WHERE address = '1.2.3.4';
