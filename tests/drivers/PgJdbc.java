// pgJDBC, as an application in Java uses it: java PgJdbc URL
//
// The table `items` may live in any store, `words` is relational. Plain PostgreSQL passes too.

import java.io.StringReader;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.util.PSQLException;

public class PgJdbc {
    static final String TABLES = """
        CREATE TABLE items (
            id int PRIMARY KEY, name text NOT NULL, price numeric(12, 2), tags jsonb, owner uuid, at timestamptz, raw bytea,
            done boolean, score float8, big bigint, labels text[]
        );
        CREATE TABLE words (id int PRIMARY KEY, word text NOT NULL UNIQUE);
        """;
    static final OffsetDateTime AT = OffsetDateTime.of(2026, 3, 1, 7, 30, 15, 123456000, ZoneOffset.UTC);
    static final UUID OWNER = new UUID(0, 7);
    static String url;

    interface Story { void tell(Connection connection) throws Exception; }
    interface Work { void run() throws Exception; }

    static void equal(Object found, Object expected) {
        if (!expected.equals(found)) throw new AssertionError("expected " + expected + ", found " + found);
    }

    static PSQLException fails(String state, Work work) throws Exception {
        try {
            work.run();
        } catch (SQLException error) {
            SQLException told = error.getNextException() instanceof PSQLException next ? next : error;
            equal(told.getSQLState(), state);
            return (PSQLException) told;
        }
        throw new AssertionError("no error " + state);
    }

    static List<Object> column(Connection connection, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int place = 0; place < values.length; place++) statement.setObject(place + 1, values[place]);
            List<Object> found = new ArrayList<>();
            try (ResultSet rows = statement.executeQuery()) {
                while (rows.next()) found.add(rows.getObject(1));
            }
            return found;
        }
    }

    static int run(Connection connection, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int place = 0; place < values.length; place++) statement.setObject(place + 1, values[place]);
            return statement.executeUpdate();
        }
    }

    static void types(Connection connection) throws Exception {
        String put = "INSERT INTO items VALUES (?, ?, ?, ?::jsonb, ?, ?, ?, ?, ?, ?, ?)";
        try (PreparedStatement statement = connection.prepareStatement(put)) {
            statement.setInt(1, 1);
            statement.setString(2, "naïve ☃ 'quoted' \\");
            statement.setBigDecimal(3, new BigDecimal("12345678.90"));
            statement.setString(4, "{\"a\": [1, null, \"ü\"]}");
            statement.setObject(5, OWNER);
            statement.setObject(6, AT);
            statement.setBytes(7, new byte[] {0, -1, 92});
            statement.setBoolean(8, true);
            statement.setDouble(9, 0.1);
            statement.setLong(10, Long.MAX_VALUE);
            statement.setArray(11, connection.createArrayOf("text", new String[] {"a", "b,c", null, "\""}));
            equal(statement.executeUpdate(), 1);
        }
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO items (id, name, price, raw) VALUES (?, ?, ?, ?)")) {
            statement.setInt(1, 2);
            statement.setString(2, "");
            statement.setNull(3, Types.NUMERIC);
            statement.setNull(4, Types.BINARY);
            equal(statement.executeUpdate(), 1);
        }
        // From the fifth time on the driver prepares by name and asks for binary results.
        for (int turn = 0; turn < 12; turn++) {
            try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM items WHERE id = ?")) {
                statement.setInt(1, 1);
                ResultSet row = statement.executeQuery();
                equal(row.next(), true);
                equal(row.getString("name"), "naïve ☃ 'quoted' \\");
                equal(row.getBigDecimal("price"), new BigDecimal("12345678.90"));
                equal(row.getString("tags"), "{\"a\": [1, null, \"ü\"]}");
                equal(row.getObject("owner"), OWNER);
                equal(row.getObject("at", OffsetDateTime.class).toInstant(), AT.toInstant());
                equal(Arrays.toString(row.getBytes("raw")), "[0, -1, 92]");
                equal(row.getBoolean("done"), true);
                equal(row.getDouble("score"), 0.1);
                equal(row.getLong("big"), Long.MAX_VALUE);
                equal(Arrays.asList((String[]) row.getArray("labels").getArray()), Arrays.asList("a", "b,c", null, "\""));
                equal(row.getMetaData().getColumnTypeName(3), "numeric");
                equal(row.next(), false);
                statement.setInt(1, 2);
                row = statement.executeQuery();
                equal(row.next(), true);
                equal(row.getBigDecimal("price") == null && row.wasNull(), true);
            }
        }
        equal(column(connection, "SELECT id FROM items WHERE owner = ?", OWNER), List.of(1));
        equal(column(connection, "SELECT id FROM items WHERE at = ?", AT), List.of(1));
        equal(column(connection, "SELECT id FROM items WHERE price = ?", new BigDecimal("12345678.9")), List.of(1));
    }

    static void batches(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO items (id, name) VALUES (?, ?)")) {
            for (int id = 100; id < 190; id++) {
                statement.setInt(1, id);
                statement.setString(2, "item " + id);
                statement.addBatch();
            }
            equal(Arrays.stream(statement.executeBatch()).sum(), 90);
        }
        equal(column(connection, "SELECT count(*) FROM items WHERE id >= ?", 100), List.of(90L));
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO words VALUES (?, 'once')")) {
            for (int id = 1; id < 4; id++) {
                statement.setInt(1, id);
                statement.addBatch();
            }
            fails("23505", statement::executeBatch);
        }
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO words (id, word) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            statement.setInt(1, 50);
            statement.setString(2, "keys");
            statement.executeUpdate();
            ResultSet keys = statement.getGeneratedKeys();
            equal(keys.next() && keys.getInt("id") == 50, true);
        }
        run(connection, "DELETE FROM words");
    }

    static void portions(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM items WHERE id >= ? ORDER BY id")) {
            statement.setFetchSize(7);
            statement.setInt(1, 100);
            ResultSet rows = statement.executeQuery();
            for (int id = 100; id < 190; id++) {
                equal(rows.next() && rows.getInt(1) == id, true);
                // Another statement on the same connection in between.
                if (id % 50 == 0) equal(column(connection, "SELECT ?::int + 1", id), List.of(id + 1));
            }
            equal(rows.next(), false);
        }
        connection.commit();
        connection.setAutoCommit(true);
        equal(run(connection, "DELETE FROM items WHERE id >= ?", 100), 90);
    }

    static void transactions(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        run(connection, "INSERT INTO items (id, name) VALUES (?, 'kept')", 40);
        run(connection, "INSERT INTO words VALUES (?, 'kept')", 40);
        Savepoint here = connection.setSavepoint("here");
        PSQLException error = fails("23505", () -> run(connection, "INSERT INTO words VALUES (?, 'kept')", 41));
        equal(error.getServerErrorMessage().getConstraint(), "words_word_key");
        fails("25P02", () -> column(connection, "SELECT id FROM items WHERE id = ?", 1));
        connection.rollback(here);
        equal(column(connection, "SELECT id FROM items ORDER BY id"), List.of(1, 2, 40));
        connection.commit();
        run(connection, "DELETE FROM items WHERE id = ?", 40);
        connection.rollback();
        equal(column(connection, "SELECT id FROM items ORDER BY id"), List.of(1, 2, 40));
        connection.commit();
        connection.setAutoCommit(true);
        connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        equal(column(connection, "SHOW transaction_isolation"), List.of("serializable"));
        connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        run(connection, "DELETE FROM items WHERE id = 40");
        run(connection, "DELETE FROM words");
    }

    static void failures(Connection connection) throws Exception {
        PSQLException error = fails("23505", () -> run(connection, "INSERT INTO items (id, name) VALUES (?, 'x')", 1));
        equal(error.getServerErrorMessage().getConstraint(), "items_pkey");
        fails("23502", () -> run(connection, "INSERT INTO items (id) VALUES (?)", 9));
        fails("42P01", () -> column(connection, "SELECT * FROM nowhere"));
        fails("42703", () -> column(connection, "SELECT nothing FROM items"));
        fails("42601", () -> column(connection, "SELEC"));
        fails("22012", () -> column(connection, "SELECT ?::int / 0", 1));
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            fails("57014", () -> statement.execute("SELECT pg_sleep(30)"));
        }
        equal(column(connection, "SELECT 1"), List.of(1));
        try (Statement statement = connection.createStatement()) {
            statement.execute("DO $$ BEGIN RAISE NOTICE 'hello %', 1; END $$");
            equal(statement.getWarnings().getMessage(), "hello 1");
            // Several statements in one text.
            equal(statement.execute("SELECT 1; UPDATE words SET word = word; SELECT 2"), true);
            equal(statement.getMoreResults() || statement.getUpdateCount() != 0, false);
            equal(statement.getMoreResults(), true);
        }
    }

    static void copies(Connection connection) throws Exception {
        var copy = connection.unwrap(PGConnection.class).getCopyAPI();
        equal(copy.copyIn("COPY words FROM STDIN (FORMAT csv)", new StringReader("1,one\n2,two\n3,three\n")), 3L);
        var out = new java.io.StringWriter();
        equal(copy.copyOut("COPY (SELECT * FROM words ORDER BY id) TO STDOUT", out), 3L);
        equal(out.toString(), "1\tone\n2\ttwo\n3\tthree\n");
        fails("23505", () -> copy.copyIn("COPY words FROM STDIN", new StringReader("1\tagain\n")));
        equal(column(connection, "SELECT count(*) FROM words"), List.of(3L));
        run(connection, "TRUNCATE words");
    }

    static void notifications(Connection connection) throws Exception {
        run(connection, "LISTEN news");
        try (Connection other = DriverManager.getConnection(url)) {
            column(other, "SELECT pg_notify(?, ?)", "news", "hello");
        }
        PGNotification[] heard = connection.unwrap(PGConnection.class).getNotifications(20_000);
        equal(heard == null ? "nothing" : heard[0].getName() + heard[0].getParameter(), "newshello");
    }

    static void catalogue(Connection connection) throws Exception {
        List<String> columns = new ArrayList<>();
        ResultSet found = connection.getMetaData().getColumns(null, "public", "items", null);
        while (found.next()) columns.add(found.getString("COLUMN_NAME"));
        equal(columns, List.of("id", "name", "price", "tags", "owner", "at", "raw", "done", "score", "big", "labels"));
        ResultSet key = connection.getMetaData().getPrimaryKeys(null, "public", "items");
        equal(key.next() && key.getString("COLUMN_NAME").equals("id"), true);
        equal(connection.isValid(10), true);
        connection.setSchema("pg_catalog");
        equal(connection.getSchema(), "pg_catalog");
    }

    public static void main(String[] arguments) throws Exception {
        // postgres://user@host:port/database
        java.net.URI uri = java.net.URI.create(arguments[0]);
        url = "jdbc:postgresql://" + uri.getHost() + ":" + uri.getPort() + uri.getPath() + "?user=" + uri.getUserInfo();
        if (uri.getQuery() != null) url += "&" + uri.getQuery();
        try (Connection first = DriverManager.getConnection(url); Statement statement = first.createStatement()) {
            statement.execute(TABLES);
        }
        String[] names = {"types", "batches", "portions", "transactions", "failures", "copies", "notifications", "catalogue"};
        Story[] stories = {
            PgJdbc::types, PgJdbc::batches, PgJdbc::portions, PgJdbc::transactions, PgJdbc::failures, PgJdbc::copies, PgJdbc::notifications,
            PgJdbc::catalogue,
        };
        int failed = 0;
        for (int place = 0; place < stories.length; place++) {
            // A connection each, so that one that fails doesn't take the next ones with it.
            try (Connection connection = DriverManager.getConnection(url)) {
                stories[place].tell(connection);
            } catch (Exception | AssertionError error) {
                failed++;
                System.out.println(names[place] + ": " + error);
                for (StackTraceElement line : error.getStackTrace()) {
                    if (line.getClassName().startsWith("PgJdbc")) System.out.println("  line " + line.getLineNumber());
                }
            }
        }
        System.exit(failed == 0 ? 0 : 1);
    }
}
