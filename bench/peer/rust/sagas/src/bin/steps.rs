// SPDX-License-Identifier: Apache-2.0
//! The steps of a saga, each durable before it is answered and the same however often it is asked for. They are called
//! by what carries the saga out: Restate, DTM, DBOS. POST /purchases begins one at DTM and waits for its end.
//!
//!     steps PORT    the store is the file that STORE names, or the server where PGHOST and the like say; DTM names
//!                   that one's address

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bench_peer::{Fault, Valid, run, setting};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio_postgres::{Client, NoTls, Statement};

const GROUP_MAX: usize = 512;
const PAGES_A_CHECKPOINT: u32 = 4000;

const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS reservations (order_id TEXT PRIMARY KEY, product_id TEXT NOT NULL, quantity BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS charges (order_id TEXT PRIMARY KEY, total BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS confirmed (order_id TEXT PRIMARY KEY)",
];

#[derive(Clone, Copy)]
enum Step {
    Reserve,
    Release,
    Charge,
    Confirm,
}

const STEPS: [(Step, &str, &str); 4] = [
    (
        Step::Reserve,
        "/reservations",
        "INSERT INTO reservations (order_id, product_id, quantity) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    ),
    (Step::Release, "/reservations/release", "DELETE FROM reservations WHERE order_id = $1"),
    (Step::Charge, "/charges", "INSERT INTO charges (order_id, total) VALUES ($1, $2) ON CONFLICT DO NOTHING"),
    (Step::Confirm, "/confirmations", "INSERT INTO confirmed (order_id) VALUES ($1) ON CONFLICT DO NOTHING"),
];

#[derive(Deserialize)]
struct Asked {
    order_id: String,
    #[serde(default)]
    product_id: String,
    #[serde(default)]
    quantity: i64,
    #[serde(default)]
    total: i64,
}

// ---- SQLite: one thread writes, and commits what waits as a whole ---------------------------------

struct Work {
    step: Step,
    asked: Asked,
    done: oneshot::Sender<Result<(), String>>,
}

fn change(connection: &Connection, step: Step, asked: &Asked) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(STEPS[step as usize].2)?;
    match step {
        Step::Reserve => statement.execute((&asked.order_id, &asked.product_id, asked.quantity)),
        Step::Charge => statement.execute((&asked.order_id, asked.total)),
        Step::Release | Step::Confirm => statement.execute((&asked.order_id,)),
    }
}

fn commit(connection: &mut Connection, works: &[Work]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for work in works {
        change(&transaction, work.step, &work.asked)?;
    }
    transaction.commit()
}

fn write(mut connection: Connection, works: mpsc::Receiver<Work>) {
    while let Ok(first) = works.recv() {
        let mut group = vec![first];
        group.extend(works.try_iter().take(GROUP_MAX - 1));
        let committed = commit(&mut connection, &group).map_err(|error| error.to_string());
        group.into_iter().for_each(|work| drop(work.done.send(committed.clone())));
    }
}

fn open(file: &str) -> rusqlite::Result<mpsc::Sender<Work>> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", PAGES_A_CHECKPOINT)?;
    TABLES.iter().try_for_each(|table| connection.execute_batch(table))?;
    let (sender, works) = mpsc::channel();
    thread::spawn(move || write(connection, works));
    Ok(sender)
}

// ---- PostgreSQL: a statement a step, several in each connection's pipeline -------------------------

struct Link {
    client: Client,
    steps: Vec<Statement>,
}

async fn link() -> Result<Link, Fault> {
    let text = |name: &str| std::env::var(name).map_err(|_| Fault(format!("{name} is not set")));
    let mut config = tokio_postgres::Config::new();
    config.host(text("PGHOST")?).port(text("PGPORT")?.parse()?).user(text("PGUSER")?);
    config.password(text("PGPASSWORD")?).dbname(text("PGDATABASE")?);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move { connection.await.expect("the connection") });
    let mut steps = Vec::new();
    client.batch_execute("SELECT pg_advisory_lock(1)").await?;
    client.batch_execute(&TABLES.join(";")).await?;
    client.batch_execute("SELECT pg_advisory_unlock(1)").await?;
    for (_, _, statement) in STEPS {
        steps.push(client.prepare(statement).await?);
    }
    Ok(Link { client, steps })
}

async fn change_there(link: &Link, step: Step, asked: &Asked) -> Result<u64, tokio_postgres::Error> {
    let statement = &link.steps[step as usize];
    match step {
        Step::Reserve => link.client.execute(statement, &[&asked.order_id, &asked.product_id, &asked.quantity]).await,
        Step::Charge => link.client.execute(statement, &[&asked.order_id, &asked.total]).await,
        Step::Release | Step::Confirm => link.client.execute(statement, &[&asked.order_id]).await,
    }
}

// ---- Over HTTP -------------------------------------------------------------------------------------

enum Store {
    File(mpsc::Sender<Work>),
    Server(Vec<Link>, AtomicUsize),
}

impl Store {
    async fn run(&self, step: Step, asked: Asked) -> Result<StatusCode, Fault> {
        match self {
            Store::File(writer) => {
                let (done, committed) = oneshot::channel();
                writer.send(Work { step, asked, done })?;
                committed.await?.map_err(Fault)?;
            }
            Store::Server(links, next) => {
                let link = &links[next.fetch_add(1, Ordering::Relaxed) % links.len()];
                change_there(link, step, &asked).await?;
            }
        }
        Ok(StatusCode::OK)
    }
}

struct Steps {
    store: Store,
    client: reqwest::Client,
    dtm: Option<String>,
    saga: AtomicUsize,
    birth: String,
}

async fn purchase(
    State(steps): State<Arc<Steps>>,
    headers: HeaderMap,
    Valid(wanted): Valid,
) -> Result<Response, Fault> {
    let Some(dtm) = &steps.dtm else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let saga = format!("{}-{}", steps.birth, steps.saga.fetch_add(1, Ordering::Relaxed));
    let asked = json!({
        "gid": saga, "trans_type": "saga", "protocol": "http", "wait_result": true,
        "steps": [
            {"action": format!("http://{host}/reservations"), "compensate": format!("http://{host}/reservations/release")},
            {"action": format!("http://{host}/charges"), "compensate": ""},
            {"action": format!("http://{host}/confirmations"), "compensate": ""},
        ],
        "payloads": [
            json!({"order_id": saga, "product_id": wanted.product_id, "quantity": wanted.quantity}).to_string(),
            json!({"order_id": saga, "total": wanted.total}).to_string(),
            json!({"order_id": saga}).to_string(),
        ],
    });
    let answer = steps.client.post(format!("http://{dtm}/api/dtmsvr/submit")).json(&asked).send().await?;
    let text = answer.error_for_status()?.text().await?;
    Ok((StatusCode::OK, text).into_response())
}

async fn program() -> Result<Router, Fault> {
    let store = match std::env::var("STORE") {
        Ok(file) => Store::File(open(&file)?),
        Err(_) => {
            let mut links = Vec::new();
            for _ in 0..setting("CONNECTIONS", 16) {
                links.push(link().await?);
            }
            Store::Server(links, AtomicUsize::new(0))
        }
    };
    let birth = std::process::id().to_string();
    let client = reqwest::Client::builder().tcp_nodelay(true).build()?;
    let state = Arc::new(Steps { store, client, dtm: std::env::var("DTM").ok(), saga: AtomicUsize::new(0), birth });
    let mut router = Router::new().route("/purchases", post(purchase));
    for (step, path, _) in STEPS {
        let run =
            async move |State(steps): State<Arc<Steps>>, Json(asked): Json<Asked>| steps.store.run(step, asked).await;
        router = router.route(path, post(run));
    }
    Ok(router.with_state(state))
}

fn main() {
    run(program());
}
