// SPDX-License-Identifier: Apache-2.0
//! What the programs share: the order as a client wants it and as it was stored, and how it is served. A program is
//! called with its port, says `ready` once it is reached there, and ends when it is killed.

pub mod event;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::FromRequest;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub const PLACED: &str = "PLACED";
pub const EVENT: &str = "OrderCreated";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub user_id: i64,
    pub product_id: String,
    pub quantity: i64,
    pub total: i64,
}

#[derive(Serialize)]
pub struct Order {
    pub id: i64,
    pub user_id: i64,
    pub product_id: String,
    pub quantity: i64,
    pub total: i64,
    pub status: String,
}

#[derive(Serialize)]
pub struct Constant {
    id: i64,
    user_id: i64,
    status: &'static str,
}

impl Wanted {
    /// As it is stored; the status is always the same.
    pub fn placed(self, id: i64) -> Order {
        let Wanted {
            user_id,
            product_id,
            quantity,
            total,
        } = self;
        Order {
            id,
            user_id,
            product_id,
            quantity,
            total,
            status: PLACED.into(),
        }
    }
}

/// A body of the right shape, or 422.
pub struct Valid(pub Wanted);

impl<S: Send + Sync> FromRequest<S> for Valid {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Self::Rejection> {
        let Json(wanted) = Json::<Wanted>::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)?;
        if wanted.quantity < 1 {
            return Err(StatusCode::UNPROCESSABLE_ENTITY.into_response());
        }
        Ok(Valid(wanted))
    }
}

/// A store's fault: 500, and what it said to the standard error.
pub struct Fault(pub String);

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Fault(error.to_string())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        eprintln!("{}", self.0);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

pub async fn constant() -> Json<Constant> {
    Json(Constant {
        id: 1,
        user_id: 7,
        status: PLACED,
    })
}

pub fn found(order: Option<Order>) -> Response {
    match order {
        Some(order) => Json(order).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Runs `program` with as many threads as there are cores.
pub fn run(program: impl Future<Output = Result<Router, Fault>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let router = match program.await {
            Ok(router) => router,
            Err(Fault(why)) => panic!("{why}"),
        };
        let port: u16 = std::env::args()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a port");
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("to listen");
        println!("ready");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("TCP_NODELAY"));
        axum::serve(listener, router).await.expect("to serve");
    });
}

/// What the environment says, or `otherwise`.
pub fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name)
        .ok()
        .map_or(otherwise, |text| text.parse().expect(name))
}
