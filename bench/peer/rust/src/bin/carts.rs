// SPDX-License-Identifier: Apache-2.0
//! What the shop's carts do, with redis: one connection that all requests share, each request's commands in one MULTI,
//! those of many requests in one round trip. The same routes, keys and server as carts.js has; it keeps no record of a
//! command, and publishes nothing.
//!
//!     carts PORT    the server is what REDIS names, as JSON

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use bench_peer::{Fault, run};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, IntoConnectionInfo};
use serde::{Deserialize, Serialize};

const KEPT_MS: u64 = 90 * 24 * 60 * 60 * 1000;
const ITEMS_MAX: usize = 100;
const QUANTITY_MAX: u64 = 1_000_000_000;
const ID_LENGTH_MAX: usize = 200;

#[derive(Deserialize)]
struct Server {
    host: String,
    port: u16,
    user: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    quantity: u64,
}

#[derive(Serialize)]
struct Item {
    product_id: String,
    quantity: u64,
}

#[derive(Serialize)]
struct Cart {
    user_id: u64,
    items: Vec<Item>,
}

fn cart(user_id: u64, items: Vec<(String, u64)>) -> Response {
    let items = items.into_iter().map(|(product_id, quantity)| Item { product_id, quantity }).collect();
    Json(Cart { user_id, items }).into_response()
}

fn key_of(user_id: u64) -> String {
    format!("bench_peer:cart:{user_id}")
}

async fn find(State(mut redis): State<MultiplexedConnection>, Path(user_id): Path<u64>) -> Result<Response, Fault> {
    Ok(cart(user_id, redis.hgetall(key_of(user_id)).await?))
}

async fn put_item(
    State(mut redis): State<MultiplexedConnection>,
    Path((user_id, product_id)): Path<(u64, String)>,
    Json(Wanted { quantity }): Json<Wanted>,
) -> Result<Response, Fault> {
    if user_id < 1 || !(1..=QUANTITY_MAX).contains(&quantity) || product_id.len() > ID_LENGTH_MAX {
        return Ok(StatusCode::UNPROCESSABLE_ENTITY.into_response());
    }
    let key = key_of(user_id);
    let expires_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64 + KEPT_MS;
    let (items,): (Vec<(String, u64)>,) = redis::pipe()
        .atomic()
        .hset(&key, &product_id, quantity)
        .ignore()
        .pexpire_at(&key, expires_ms as i64)
        .ignore()
        .hgetall(&key)
        .query_async(&mut redis)
        .await?;
    if items.len() > ITEMS_MAX {
        let () = redis.hdel(&key, &product_id).await?;
        return Ok(StatusCode::CONFLICT.into_response());
    }
    Ok(cart(user_id, items))
}

async fn program() -> Result<Router, Fault> {
    let Server { host, port, user, password } = serde_json::from_str(&std::env::var("REDIS")?)?;
    let settings = redis::RedisConnectionInfo::default().set_username(user).set_password(password);
    let address = format!("redis://{host}:{port}").into_connection_info()?.set_redis_settings(settings);
    let redis = redis::Client::open(address)?.get_multiplexed_async_connection().await?;
    Ok(Router::new()
        .route("/api/carts/{user_id}", get(find))
        .route("/api/carts/{user_id}/items/{product_id}", put(put_item))
        .with_state(redis))
}

fn main() {
    run(program());
}
