// SPDX-License-Identifier: Apache-2.0
//! A poller: it reads another service's outbox directly from that service's file, and applies each event once in a file
//! of its own. One thread reads and parses what follows while another writes; a batch is one transaction, which moves
//! the cursor first and changes nothing where that stands elsewhere.
//!
//!     poll_sqlite PUBLISHER SUBSCRIBER LAST [BATCH]    ends once the event at position LAST has been applied

use std::env::args;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use bench_peer::EVENT;
use bench_peer::event::{BATCH, Batch, batch_of};
use rusqlite::{Connection, OpenFlags};

const PAGES_A_CHECKPOINT: u32 = 4000;
const BATCHES_AHEAD: usize = 4;
const POLL: Duration = Duration::from_millis(1);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS cursor (source TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
    INSERT OR IGNORE INTO cursor VALUES ('orders', 0);
    CREATE TABLE IF NOT EXISTS heard (order_id BIGINT PRIMARY KEY, quantity BIGINT NOT NULL);";
const READ: &str = "SELECT position, type, data FROM fh_outbox WHERE position > ?1 ORDER BY position LIMIT ?2";
const MOVE: &str = "UPDATE cursor SET position = ?2 WHERE source = 'orders' AND position = ?1";
const APPLY: &str = "INSERT INTO heard (order_id, quantity) VALUES (?1, ?2)";

fn read(publisher: &str, mut position: i64, size: usize, batches: &SyncSender<Batch>) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(publisher, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = connection.prepare(READ)?;
    loop {
        let mut batch = batch_of(position, size);
        let mut rows = statement.query((position, size as i64))?;
        while let Some(row) = rows.next()? {
            batch.last = row.get(0)?;
            if row.get_ref(1)?.as_str()? == EVENT {
                batch.events.push(serde_json::from_str(row.get_ref(2)?.as_str()?).expect("an order"));
            }
        }
        if batch.last == position {
            thread::sleep(POLL);
            continue;
        }
        position = batch.last;
        if batches.send(batch).is_err() {
            return Ok(());
        }
    }
}

fn apply(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    if transaction.prepare_cached(MOVE)?.execute((batch.before, batch.last))? != 1 {
        panic!("the cursor is not at {}", batch.before);
    }
    let mut statement = transaction.prepare_cached(APPLY)?;
    for event in &batch.events {
        statement.execute((event.id, event.quantity))?;
    }
    drop(statement);
    transaction.commit()
}

fn write(mut connection: Connection, batches: Receiver<Batch>, last: i64) -> rusqlite::Result<()> {
    for batch in batches {
        apply(&mut connection, &batch)?;
        if batch.last >= last {
            break;
        }
    }
    Ok(())
}

fn main() -> rusqlite::Result<()> {
    let words: Vec<String> = args().collect();
    let publisher = words[1].clone();
    let last = words[3].parse().expect("a position");
    let size = words.get(4).map_or(BATCH, |word| word.parse().expect("a size"));
    let connection = Connection::open(&words[2])?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", PAGES_A_CHECKPOINT)?;
    connection.execute_batch(TABLES)?;
    let position = connection.query_row("SELECT position FROM cursor WHERE source = 'orders'", (), |row| row.get(0))?;
    let (sender, batches) = sync_channel(BATCHES_AHEAD);
    thread::spawn(move || read(&publisher, position, size, &sender).expect("to read"));
    write(connection, batches, last)
}
