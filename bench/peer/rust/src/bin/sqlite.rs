// SPDX-License-Identifier: Apache-2.0
//! Orders with rusqlite. One thread writes: it takes what waits, commits it as a whole, durably, and answers then. Reads
//! are made where the request is, each of the runtime's threads having a connection of its own.
//!
//!     sqlite PORT    the store is the file that STORE names

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bench_peer::{EVENT, Fault, Order, PLACED, Valid, Wanted, constant, found, run};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tokio::sync::oneshot;

const GROUP_MAX: usize = 512;
const PAGES_A_CHECKPOINT: u32 = 4000;
const CACHE_KIB: i32 = 64 * 1024;
const MMAP_BYTES: i64 = 1 << 30;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id BIGINT NOT NULL,
        product_id TEXT NOT NULL, quantity BIGINT NOT NULL, total BIGINT NOT NULL, status TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, key TEXT NOT NULL,
        data TEXT NOT NULL);";
const INSERT_ORDER: &str =
    "INSERT INTO orders (user_id, product_id, quantity, total, status) VALUES (?1, ?2, ?3, ?4, ?5)";
const INSERT_EVENT: &str = "INSERT INTO outbox (type, key, data) VALUES (?1, ?2, ?3)";
const SELECT_ORDER: &str =
    "SELECT id, user_id, product_id, quantity, total, status FROM orders WHERE id = ?1";

static STORE: OnceLock<String> = OnceLock::new();

struct Work {
    wanted: Wanted,
    answer: oneshot::Sender<Result<Order, String>>,
}

fn place(connection: &Connection, wanted: Wanted) -> rusqlite::Result<Order> {
    let id = connection.prepare_cached(INSERT_ORDER)?.insert((
        wanted.user_id,
        &wanted.product_id,
        wanted.quantity,
        wanted.total,
        PLACED,
    ))?;
    let order = wanted.placed(id);
    let event = serde_json::to_string(&order).expect("JSON");
    connection
        .prepare_cached(INSERT_EVENT)?
        .execute((EVENT, id, event))?;
    Ok(order)
}

/// One group: all of it, or nothing.
fn commit(connection: &Connection, first: Work, more: &mpsc::Receiver<Work>) {
    let mut waiting = Vec::with_capacity(GROUP_MAX);
    let run = |sql| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(()))
    };
    let mut done = run("BEGIN IMMEDIATE").map(|_| ());
    let mut next = Some(first);
    while let Some(Work { wanted, answer }) = next {
        let order = done.and_then(|()| place(connection, wanted));
        done = order.and_then(|order| {
            waiting.push((answer, order));
            Ok(())
        });
        next = if done.is_ok() && waiting.len() < GROUP_MAX {
            more.try_recv().ok()
        } else {
            None
        };
    }
    match done.and_then(|()| run("COMMIT").map(|_| ())) {
        Ok(()) => waiting
            .into_iter()
            .for_each(|(answer, order)| drop(answer.send(Ok(order)))),
        Err(error) => {
            let _ = run("ROLLBACK");
            waiting
                .into_iter()
                .for_each(|(answer, _)| drop(answer.send(Err(error.to_string()))));
        }
    }
}

fn write(connection: Connection, works: mpsc::Receiver<Work>) {
    while let Ok(work) = works.recv() {
        commit(&connection, work, &works);
    }
}

fn writer() -> rusqlite::Result<Connection> {
    let connection = Connection::open(STORE.get().expect("a store"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", PAGES_A_CHECKPOINT)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.execute_batch(TABLES)?;
    Ok(connection)
}

fn reader() -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(STORE.get().expect("a store"), flags).expect("the store");
    connection
        .pragma_update(None, "mmap_size", MMAP_BYTES)
        .expect("mmap_size");
    connection
}

thread_local! {
    static READER: RefCell<Connection> = RefCell::new(reader());
}

async fn find(Path(id): Path<i64>) -> Result<Response, Fault> {
    let order = READER.with_borrow(|connection| {
        connection
            .prepare_cached(SELECT_ORDER)?
            .query_row((id,), |row| {
                Ok(Order {
                    id: row.get(0)?,
                    user_id: row.get(1)?,
                    product_id: row.get(2)?,
                    quantity: row.get(3)?,
                    total: row.get(4)?,
                    status: row.get(5)?,
                })
            })
            .optional()
    })?;
    Ok(found(order))
}

async fn place_order(
    State(writer): State<mpsc::Sender<Work>>,
    Valid(wanted): Valid,
) -> Result<Response, Fault> {
    let (answer, answered) = oneshot::channel();
    writer.send(Work { wanted, answer })?;
    let order = answered.await?.map_err(Fault)?;
    Ok((StatusCode::CREATED, Json(order)).into_response())
}

async fn program() -> Result<Router, Fault> {
    STORE.set(std::env::var("STORE")?).expect("one store");
    let connection = writer()?;
    let (sender, works) = mpsc::channel();
    thread::spawn(move || write(connection, works));
    Ok(Router::new()
        .route("/constant", get(constant))
        .route("/orders/{id}", get(find))
        .route("/orders", post(place_order))
        .with_state(sender))
}

fn main() {
    run(program());
}
