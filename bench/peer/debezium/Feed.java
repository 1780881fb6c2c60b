// SPDX-License-Identifier: Apache-2.0

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.debezium.embedded.Connect;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.RecordChangeEvent;
import io.debezium.engine.format.ChangeEventFormat;
import java.io.IOException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * Debezium's feed: the rows of an outbox, from the log of the publisher's PostgreSQL by logical decoding (pgoutput), each
 * applied once in a database of its own.
 *
 * <pre>Feed HOST PORT USER PASSWORD PUBLISHER SUBSCRIBER SLOT LAST WARM STALLED_S</pre>
 *
 * A batch is one transaction: one statement for all of its rows, and the position of the last one. What lies before that is
 * passed over (rows are numbered in the order of their commits, as Freehold's are), so a row that the slot brings again
 * after a crash is not applied again; the slot is told of a batch once that is committed. So Debezium needs no store of
 * offsets beside. It has its records as they are, without a way through JSON, and decodes what follows while a batch is
 * applied. It ends once LAST rows are applied, and prints how many came after the first WARM, which are there for the JVM
 * to compile what runs, and how many us they took. Where no row comes for STALLED_S it says what it has, and fails.
 */
public final class Feed implements DebeziumEngine.ChangeConsumer<RecordChangeEvent<SourceRecord>> {
    private static final String TABLES = """
            CREATE TABLE IF NOT EXISTS place (source TEXT PRIMARY KEY, position BIGINT NOT NULL);
            INSERT INTO place VALUES ('orders', 0) ON CONFLICT DO NOTHING;
            CREATE TABLE IF NOT EXISTS heard (order_id BIGINT PRIMARY KEY, quantity BIGINT NOT NULL);""";
    private static final String APPLY = "INSERT INTO heard (order_id, quantity) SELECT * FROM unnest(?::bigint[], ?::bigint[])";
    private static final String MOVE = "UPDATE place SET position = ? WHERE source = 'orders' AND position = ?";
    private static final JsonFactory JSON = new JsonFactory();

    private final Connection connection;
    private final PreparedStatement apply, move;
    private final long last, warm;
    private final CountDownLatch done = new CountDownLatch(1);
    private volatile long position; /* of the last row that is applied */
    private volatile long applied;
    private long warmAt, warmNs, doneNs;
    private volatile Throwable failure;

    private Feed(Connection connection, long last, long warm) throws SQLException {
        this.connection = connection;
        this.last = last;
        this.warm = warm;
        try (Statement statement = connection.createStatement()) {
            statement.execute(TABLES);
            try (ResultSet place = statement.executeQuery("SELECT position FROM place WHERE source = 'orders'")) {
                place.next();
                position = place.getLong(1);
            }
        }
        connection.setAutoCommit(false);
        apply = connection.prepareStatement(APPLY);
        move = connection.prepareStatement(MOVE);
    }

    /* An order's id and quantity. */
    private static void read(String data, Long[] ids, Long[] quantities, int at) throws IOException {
        try (JsonParser parser = JSON.createParser(data)) {
            while (parser.nextToken() != null) {
                if (parser.currentToken() != JsonToken.FIELD_NAME)
                    continue;
                String name = parser.currentName();
                parser.nextToken();
                if (name.equals("id"))
                    ids[at] = parser.getLongValue();
                else if (name.equals("quantity"))
                    quantities[at] = parser.getLongValue();
            }
        }
    }

    private void commit(Long[] ids, Long[] quantities, int count, long reached) throws SQLException {
        apply.setArray(1, connection.createArrayOf("bigint", java.util.Arrays.copyOf(ids, count)));
        apply.setArray(2, connection.createArrayOf("bigint", java.util.Arrays.copyOf(quantities, count)));
        apply.executeUpdate();
        move.setLong(1, reached);
        move.setLong(2, position);
        if (move.executeUpdate() != 1)
            throw new SQLException("the position has been moved by somebody else");
        connection.commit();
        position = reached;
        applied += count;
        if (warmNs == 0 && applied >= warm) {
            warmNs = System.nanoTime();
            warmAt = applied;
        }
        if (applied >= last && doneNs == 0) {
            doneNs = System.nanoTime();
            done.countDown();
        }
    }

    @Override
    public void handleBatch(List<RecordChangeEvent<SourceRecord>> records,
            DebeziumEngine.RecordCommitter<RecordChangeEvent<SourceRecord>> committer) throws InterruptedException {
        Long[] ids = new Long[records.size()], quantities = new Long[records.size()];
        int count = 0;
        long reached = position;
        try {
            for (RecordChangeEvent<SourceRecord> each : records) {
                Struct value = each.record().value() instanceof Struct struct ? struct : null;
                Struct row = value != null && value.schema().field("after") != null ? value.getStruct("after") : null;
                if (row == null)
                    continue;
                if (row.getInt64("position") <= reached) /* applied before */
                    continue;
                reached = row.getInt64("position");
                if (row.getString("type").equals("OrderCreated"))
                    read(row.getString("data"), ids, quantities, count++);
            }
            if (count > 0)
                commit(ids, quantities, count, reached);
        } catch (SQLException | IOException | RuntimeException wrong) {
            failure = wrong;
            done.countDown();
            throw new IllegalStateException(wrong);
        }
        committer.markProcessed(records.get(records.size() - 1));
        committer.markBatchFinished();
    }

    /* Until all are applied, or something fails, or nothing comes any more. */
    private void await(long stalledS) throws InterruptedException {
        long before = -1;
        while (!done.await(stalledS, TimeUnit.SECONDS)) {
            if (applied == before || applied == 0) {
                failure = new IllegalStateException("of " + last + " rows " + applied + " were applied, up to position "
                        + position + "; none came for " + stalledS + " s");
                return;
            }
            before = applied;
        }
    }

    private static Properties settings(String[] words) {
        Properties settings = new Properties();
        String[] said = {
            "name", "bench",
            "connector.class", "io.debezium.connector.postgresql.PostgresConnector",
            "offset.storage", "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
            "offset.flush.interval.ms", "0",
            "topic.prefix", "bench",
            "database.hostname", words[0],
            "database.port", words[1],
            "database.user", words[2],
            "database.password", words[3],
            "database.dbname", words[4],
            "plugin.name", "pgoutput",
            "slot.name", words[6],
            "publication.name", "bench",
            "publication.autocreate.mode", "disabled",
            "table.include.list", "public.outbox",
            "snapshot.mode", "no_data",
            "skipped.operations", "u,d,t",
            "tombstones.on.delete", "false",
            "max.batch.size", "4096",
            "max.queue.size", "32768",
            "poll.interval.ms", "1",
        };
        for (int i = 0; i < said.length; i += 2)
            settings.setProperty(said[i], said[i + 1]);
        return settings;
    }

    public static void main(String[] words) throws Exception {
        String url = "jdbc:postgresql://" + words[0] + ":" + words[1] + "/" + words[5] + "?sslmode=disable";
        try (Connection connection = DriverManager.getConnection(url, words[2], words[3])) {
            Feed feed = new Feed(connection, Long.parseLong(words[7]), Long.parseLong(words[8]));
            DebeziumEngine<RecordChangeEvent<SourceRecord>> engine = DebeziumEngine.create(ChangeEventFormat.of(Connect.class))
                    .using(settings(words))
                    .using((success, message, wrong) -> {
                        if (!success) {
                            feed.failure = wrong != null ? wrong : new IllegalStateException(message);
                            feed.done.countDown();
                        }
                    })
                    .notifying(feed)
                    .build();
            new Thread(engine::run).start();
            feed.await(Long.parseLong(words[9]));
            if (feed.failure == null)
                System.out.println("APPLIED " + (feed.applied - feed.warmAt) + " " + (feed.doneNs - feed.warmNs) / 1000);
            else
                feed.failure.printStackTrace();
            System.out.flush();
            Runtime.getRuntime().halt(feed.failure == null ? 0 : 1);
        }
    }
}
