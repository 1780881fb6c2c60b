// SPDX-License-Identifier: Apache-2.0
//! A saga of three steps as Restate's own guide has it: code that runs once, each step recorded by the server, with what
//! undoes it where a later one is refused. The steps are calls of the program `steps`.
//!
//!     restate PORT    STEPS names the address of `steps`; EMPTY: the steps do nothing

use bench_peer::Wanted;
use restate_sdk::prelude::*;
use serde_json::{Value, json};

struct Purchases {
    client: reqwest::Client,
    steps: Option<String>,
}

impl Purchases {
    async fn step(&self, path: &str, asked: Value) -> HandlerResult<()> {
        let Some(steps) = &self.steps else { return Ok(()) };
        let answer = self.client.post(format!("http://{steps}{path}")).json(&asked).send().await?;
        if answer.status().is_client_error() {
            return Err(TerminalError::new(format!("{path} was answered {}", answer.status())).into());
        }
        answer.error_for_status()?;
        Ok(())
    }
}

#[service]
impl Purchases {
    #[handler]
    async fn buy(&self, context: Context<'_>, wanted: Json<Wanted>) -> HandlerResult<String> {
        let Wanted { product_id, quantity, total, .. } = wanted.into_inner();
        let order_id = context.invocation_id().to_string();
        let reserved = json!({"order_id": order_id, "product_id": product_id, "quantity": quantity});
        context.run(|| self.step("/reservations", reserved)).name("reserve").await?;
        let charged = json!({"order_id": order_id, "total": total});
        if let Err(refused) = context.run(|| self.step("/charges", charged)).name("charge").await {
            let released = json!({"order_id": order_id});
            context.run(|| self.step("/reservations/release", released)).name("release").await?;
            return Err(refused.into());
        }
        let confirmed = json!({"order_id": order_id});
        context.run(|| self.step("/confirmations", confirmed)).name("confirm").await?;
        Ok(order_id)
    }
}

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).expect("a port");
    let client = reqwest::Client::builder().tcp_nodelay(true).build().expect("a client");
    let purchases = Purchases { client, steps: std::env::var("STEPS").ok() };
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_nodelay(true).expect("TCP_NODELAY"); // what it accepts has it, too: the SDK sets none, and waits 40 ms a step
    socket.bind(format!("127.0.0.1:{port}").parse().expect("an address")).expect("to bind");
    let listener = socket.listen(1024).expect("to listen");
    println!("ready");
    HttpServer::new(Endpoint::builder().bind(purchases).build()).serve(listener).await;
}
