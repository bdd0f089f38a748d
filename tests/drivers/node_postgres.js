// node-postgres, as an application in JavaScript uses it: node node_postgres.js URL
//
// The table `items` may live in any store, `words` is relational. Plain PostgreSQL passes too.

const assert = require("node:assert").strict;
const { Client, Pool, types } = require("pg");

const url = process.argv[2];

const TABLES = `
CREATE TABLE items (
    id int PRIMARY KEY, name text NOT NULL, price numeric(12, 2), tags jsonb, owner uuid, at timestamptz, raw bytea, done boolean,
    score float8, big bigint, labels text[]
);
CREATE TABLE words (id int PRIMARY KEY, word text NOT NULL UNIQUE);
`;
const ITEM = {
    id: 1, name: "naïve ☃ 'quoted' \\", price: "12345678.90", tags: { a: [1, null, "ü"] }, owner: "00000000-0000-0000-0000-000000000007",
    at: new Date("2026-03-01T07:30:15.123Z"), raw: Buffer.from([0, 255, 92]), done: true, score: 0.1, big: "9223372036854775807",
    labels: ["a", "b,c", null, '"'],
};

const ids = async (client, table = "items") => (await client.query(`SELECT id FROM ${table} ORDER BY id`)).rows.map((row) => row.id);

async function put(client, values) {
    const names = Object.keys(values);
    const places = names.map((_, position) => `$${position + 1}`);
    return client.query(`INSERT INTO items (${names.join(", ")}) VALUES (${places.join(", ")})`, Object.values(values));
}

async function fails(client, code, query, about = {}) {
    const error = await client.query(query).then(() => null, (error) => error);
    assert(error, `${JSON.stringify(query)}: no error ${code}`);
    assert.equal(error.code, code, error.message);
    for (const [name, wanted] of Object.entries(about)) assert.equal(error[name], wanted, `${name} of ${error.message}`);
}

const stories = {
    async types(client) {
        assert.equal((await put(client, ITEM)).rowCount, 1);
        await put(client, { id: 2, name: "", tags: null });
        const { rows, fields } = await client.query("SELECT * FROM items WHERE id = $1", [1]);
        assert.deepEqual(rows, [ITEM]);
        assert.deepEqual(fields.map((field) => field.name), Object.keys(ITEM));
        const numbers = [types.builtins.INT4, types.builtins.TEXT, types.builtins.NUMERIC, types.builtins.JSONB];
        assert.deepEqual(fields.slice(0, 4).map((field) => field.dataTypeID), numbers);
        const sparse = (await client.query("SELECT * FROM items WHERE id = $1", [2])).rows[0];
        assert.deepEqual(Object.entries(sparse).filter(([, value]) => value !== null), [["id", 2], ["name", ""]]);
        for (const name of ["name", "price", "owner", "at", "raw", "done", "score", "big", "labels"]) {
            const found = await client.query(`SELECT id FROM items WHERE ${name} = $1`, [ITEM[name]]);
            assert.deepEqual([name, found.rows], [name, [{ id: 1 }]]);
        }
        const array = await client.query({ text: "SELECT id, name FROM items ORDER BY id", rowMode: "array" });
        assert.deepEqual(array.rows, [[1, ITEM.name], [2, ""]]);
        const several = await client.query("SELECT id FROM items WHERE id = 1; SELECT count(*) FROM words; SELECT name FROM items WHERE id = 2");
        assert.deepEqual(several.map((result) => result.rows), [[{ id: 1 }], [{ count: "0" }], [{ name: "" }]]);
    },

    async named(client) {
        const insert = { name: "insert-item", text: "INSERT INTO items (id, name) VALUES ($1, $2) RETURNING id" };
        const select = { name: "select-item", text: "SELECT name FROM items WHERE id = $1" };
        for (let id = 10; id < 20; id++) {
            assert.deepEqual((await client.query({ ...insert, values: [id, `item ${id}`] })).rows, [{ id }]);
            assert.deepEqual((await client.query({ ...select, values: [id] })).rows, [{ name: `item ${id}` }]);
        }
        await fails(client, "23505", { ...insert, values: [10, "again"] }, { constraint: "items_pkey" });
        assert.deepEqual((await client.query({ ...select, values: [10] })).rows, [{ name: "item 10" }]);
        // What node-postgres recommends in place of IN.
        const some = await client.query("SELECT id FROM items WHERE id = ANY ($1) ORDER BY id", [[10, 12, 99]]);
        assert.deepEqual(some.rows, [{ id: 10 }, { id: 12 }]);
        assert.equal((await client.query("DELETE FROM items WHERE id >= $1", [10])).rowCount, 10);
    },

    async queued(client) {
        // One client sends one statement after the other; errors don't disturb those behind them.
        const answers = await Promise.allSettled([
            put(client, { id: 20, name: "queued" }),
            put(client, { id: 20, name: "again" }),
            client.query("SELECT name FROM items WHERE id = 20"),
            client.query("SELECT 1 / 0"),
            client.query("UPDATE items SET name = 'changed' WHERE id = 20 RETURNING name"),
        ]);
        assert.deepEqual(answers.map((answer) => answer.reason?.code ?? answer.value.rows[0]?.name ?? answer.value.rowCount),
            [1, "23505", "queued", "22012", "changed"]);
        await client.query("DELETE FROM items WHERE id = 20");
    },

    async transactions(client) {
        await client.query("BEGIN");
        await put(client, { id: 30, name: "kept" });
        await client.query("INSERT INTO words VALUES (30, 'kept')");
        await client.query("SAVEPOINT here");
        await fails(client, "23505", "INSERT INTO items (id, name) VALUES (1, 'again')");
        await fails(client, "25P02", "SELECT * FROM items WHERE id = 1");
        await client.query("ROLLBACK TO here");
        assert.deepEqual(await ids(client), [1, 2, 30]);
        await client.query("COMMIT");
        await client.query("BEGIN");
        await client.query("DELETE FROM items");
        await client.query("DELETE FROM words");
        assert.deepEqual(await ids(client), []);
        await client.query("ROLLBACK");
        assert.deepEqual([await ids(client), await ids(client, "words")], [[1, 2, 30], [30]]);
        await client.query("DELETE FROM items WHERE id = 30; DELETE FROM words");
    },

    async failures(client) {
        const about = { schema: "public", table: "items", constraint: "items_pkey", detail: "Key (id)=(1) already exists.", severity: "ERROR" };
        await fails(client, "23505", "INSERT INTO items (id, name) VALUES (1, 'x')", about);
        await fails(client, "23505", { text: "INSERT INTO items (id, name) VALUES ($1, 'x')", values: [1] }, about);
        await fails(client, "23502", { text: "INSERT INTO items (id) VALUES ($1)", values: [9] }, { table: "items", column: "name" });
        await fails(client, "22P02", { text: "SELECT * FROM items WHERE owner = $1", values: ["x"] });
        await fails(client, "42P01", "SELECT * FROM nowhere", { position: "15" });
        await fails(client, "42703", "SELECT nothing FROM items", { position: "8" });
        await fails(client, "42601", "SELEC * FROM items", { position: "1" });
        await fails(client, "08P01", { text: "SELECT * FROM items WHERE id = $1", values: [1, 2] });
        await client.query("INSERT INTO words VALUES (1, 'one')");
        await fails(client, "23505", "INSERT INTO words VALUES (2, 'one')", { table: "words", constraint: "words_word_key" });
        await client.query("DELETE FROM words");
    },

    async notices(client) {
        const heard = [];
        client.on("notice", (notice) => heard.push([notice.severity, notice.message]));
        await client.query("DO $$ BEGIN RAISE NOTICE 'hello %', 1; END $$");
        assert.deepEqual(heard, [["NOTICE", "hello 1"]]);
    },

    async notifications(client) {
        const heard = new Promise((resolve) => client.once("notification", ({ channel, payload }) => resolve([channel, payload])));
        await client.query("LISTEN news");
        const other = new Client({ connectionString: url });
        await other.connect();
        await other.query("SELECT pg_notify('news', 'hello')");
        await other.end();
        let timer;
        const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error("nothing heard")), 20_000); });
        assert.deepEqual(await Promise.race([heard, late]), ["news", "hello"]);
        clearTimeout(timer);
    },

    async pools() {
        const pool = new Pool({ connectionString: url, max: 8 });
        const one = async (id) => {
            await pool.query("INSERT INTO items (id, name, big) VALUES ($1, $2, 0)", [id, `pooled ${id}`]);
            await pool.query("INSERT INTO words VALUES ($1, $2)", [id, `word ${id}`]);
            const both = "SELECT i.name, w.word FROM items i JOIN words w ON w.id = i.id WHERE i.id = $1";
            return (await pool.query(both, [id])).rows[0];
        };
        const numbers = Array.from({ length: 60 }, (_, number) => 100 + number);
        const found = await Promise.all(numbers.map(one));
        assert.deepEqual(found, numbers.map((id) => ({ name: `pooled ${id}`, word: `word ${id}` })));
        // A transaction has a client of its own.
        const client = await pool.connect();
        await client.query("BEGIN");
        await client.query("UPDATE items SET name = 'lost' WHERE id = 100");
        assert.deepEqual((await pool.query("SELECT name FROM items WHERE id = 100")).rows, [{ name: "pooled 100" }]);
        await client.query("ROLLBACK");
        client.release();
        assert.deepEqual((await pool.query("SELECT count(*) FROM items WHERE id >= 100")).rows, [{ count: "60" }]);
        await pool.query("DELETE FROM items WHERE id >= 100");
        await pool.query("DELETE FROM words");
        await pool.end();
    },
};

async function main() {
    const first = new Client({ connectionString: url });
    await first.connect();
    await first.query(TABLES);
    await first.end();
    let failed = 0;
    for (const [name, story] of Object.entries(stories)) {
        // A connection each, so that one that fails doesn't take the next ones with it.
        const client = new Client({ connectionString: url });
        try {
            await client.connect();
            await story(client);
        } catch (error) {
            failed += 1;
            console.log(`${name}: ${error.stack}`);
        }
        await client.end();
    }
    process.exitCode = failed ? 1 : 0;
}

main().catch((error) => {
    console.log(error.stack);
    process.exitCode = 1;
});
