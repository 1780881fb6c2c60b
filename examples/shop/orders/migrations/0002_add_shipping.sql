-- SPDX-License-Identifier: Apache-2.0
-- Where an order goes, and what was sent. Orders from before were collected at the shop.
ALTER TABLE orders ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN shipment_id BIGINT;
