// SPDX-License-Identifier: Apache-2.0
//! A poller: it reads another service's outbox directly from that service's database, and applies each event once in a
//! database of its own. A batch is one transaction, which moves the cursor first and changes nothing where that stands
//! elsewhere; all of it but the COMMIT is one round trip.
//!
//!     poll_postgresql PUBLISHER SUBSCRIBER LAST [BATCH [loop|each|whole]]
//!
//! PUBLISHER and SUBSCRIBER are connection strings; it ends once the event at position LAST has been applied. With
//! `loop` a batch is read, then applied by one statement. With `whole` what follows is read meanwhile; with `each`, too,
//! and every event is a statement of its own, as where a handler decides on it.

use std::env::args;
use std::time::Duration;

use bench_peer::EVENT;
use bench_peer::event::{BATCH, Batch, batch_of};
use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio_postgres::{Client, Error, NoTls, Statement};

const BATCHES_AHEAD: usize = 4;
const POLL: Duration = Duration::from_millis(1);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS cursor (source TEXT PRIMARY KEY, position BIGINT NOT NULL);
    INSERT INTO cursor VALUES ('orders', 0) ON CONFLICT DO NOTHING;
    CREATE TABLE IF NOT EXISTS heard (order_id BIGINT PRIMARY KEY, quantity BIGINT NOT NULL);";
const READ: &str = "SELECT position, type, data FROM fh_outbox WHERE position > $1 ORDER BY position LIMIT $2";
const MOVE: &str = "UPDATE cursor SET position = $2 WHERE source = 'orders' AND position = $1";
const APPLY: &str = "INSERT INTO heard (order_id, quantity) VALUES ($1, $2)";
const APPLY_ALL: &str = "INSERT INTO heard (order_id, quantity) SELECT * FROM unnest($1::bigint[], $2::bigint[])";

async fn connect(to: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(to, NoTls).await?;
    tokio::spawn(async move { connection.await.expect("the connection") });
    Ok(client)
}

struct Reader {
    client: Client,
    statement: Statement,
    size: usize,
}

impl Reader {
    async fn new(from: &str, size: usize) -> Result<Self, Error> {
        let client = connect(from).await?;
        let statement = client.prepare(READ).await?;
        Ok(Reader { client, statement, size })
    }

    /// What follows `position`, once there is something.
    async fn after(&self, position: i64) -> Result<Batch, Error> {
        let mut batch = batch_of(position, self.size);
        loop {
            for row in self.client.query(&self.statement, &[&position, &(self.size as i64)]).await? {
                batch.last = row.get(0);
                if row.get::<_, &str>(1) == EVENT {
                    batch.events.push(serde_json::from_str(row.get(2)).expect("an order"));
                }
            }
            if batch.last != position {
                return Ok(batch);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn read_ahead(reader: Reader, mut position: i64, batches: mpsc::Sender<Batch>) -> Result<(), Error> {
    loop {
        let batch = reader.after(position).await?;
        position = batch.last;
        if batches.send(batch).await.is_err() {
            return Ok(());
        }
    }
}

struct Applier {
    client: Client,
    moved: Statement,
    each: Statement,
    all: Statement,
    whole: bool,
}

impl Applier {
    async fn new(client: Client, whole: bool) -> Result<Self, Error> {
        let (moved, each, all) =
            (client.prepare(MOVE).await?, client.prepare(APPLY).await?, client.prepare(APPLY_ALL).await?);
        Ok(Applier { client, moved, each, all, whole })
    }

    async fn events(&self, batch: &Batch) -> Result<(), Error> {
        if self.whole {
            let ids: Vec<i64> = batch.events.iter().map(|event| event.id).collect();
            let quantities: Vec<i64> = batch.events.iter().map(|event| event.quantity).collect();
            self.client.execute(&self.all, &[&ids, &quantities]).await?;
            return Ok(());
        }
        try_join_all(
            batch.events.iter().map(async |event| self.client.execute(&self.each, &[&event.id, &event.quantity]).await),
        )
        .await?;
        Ok(())
    }

    /// All but the COMMIT is sent without waiting for any answer; that waits until the cursor is known to have moved.
    async fn apply(&self, batch: &Batch) -> Result<(), Error> {
        let begin = self.client.batch_execute("BEGIN");
        let moved = async { self.client.execute(&self.moved, &[&batch.before, &batch.last]).await };
        let (_, moved, _) = tokio::try_join!(begin, moved, self.events(batch))?;
        assert_eq!(moved, 1, "the cursor is not at {}", batch.before);
        self.client.batch_execute("COMMIT").await
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let words: Vec<String> = args().collect();
    let last: i64 = words[3].parse().expect("a position");
    let size = words.get(4).map_or(BATCH, |word| word.parse().expect("a size"));
    let how = words.get(5).map_or("whole", String::as_str);
    let client = connect(&words[2]).await?;
    client.batch_execute(TABLES).await?;
    let mut position = client.query_one("SELECT position FROM cursor WHERE source = 'orders'", &[]).await?.get(0);
    let reader = Reader::new(&words[1], size).await?;
    let applier = Applier::new(client, how != "each").await?;
    if how == "loop" {
        while position < last {
            let batch = reader.after(position).await?;
            applier.apply(&batch).await?;
            position = batch.last;
        }
        return Ok(());
    }
    let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
    tokio::spawn(async move { read_ahead(reader, position, sender).await.expect("to read") });
    while position < last {
        let Some(batch) = batches.recv().await else { break };
        applier.apply(&batch).await?;
        position = batch.last;
    }
    Ok(())
}
