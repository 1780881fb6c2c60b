// SPDX-License-Identifier: Apache-2.0
//! What the pollers share: a batch of another service's events, as they are read from its outbox.

use serde::Deserialize;

pub const BATCH: usize = 1000;

/// What the subscriber wants of an order.
#[derive(Deserialize)]
pub struct Event {
    pub id: i64,
    pub quantity: i64,
}

/// The events after position `before`, up to `last`.
pub struct Batch {
    pub before: i64,
    pub last: i64,
    pub events: Vec<Event>,
}

pub fn batch_of(before: i64, size: usize) -> Batch {
    Batch { before, last: before, events: Vec::with_capacity(size) }
}
