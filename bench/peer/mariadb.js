// SPDX-License-Identifier: Apache-2.0
// Orders with MariaDB's connector, as its own guide recommends it: a pool of 16, prepared statements, one
// connection for a transaction. The same SQL, tables and server as bench/orders has; READ COMMITTED, which
// is the cheapest that there is.
//
//     node mariadb.js PORT    the server is what MARIADB names, as JSON

import mariadb from "mariadb";

import { serve } from "./orders.js";

const { host, port, user, password, database } = JSON.parse(process.env.MARIADB);
const pool = mariadb.createPool({
  host,
  port,
  user,
  password,
  database,
  connectionLimit: 16,
  minimumIdle: 16,
  bigIntAsNumber: true,
  insertIdAsNumber: true,
  initSql: "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
});

async function find(id) {
  return (await pool.execute("SELECT * FROM orders WHERE id = ?", [id]))[0];
}

async function place({ user_id, product_id, quantity, total, status }) {
  const connection = await pool.getConnection();
  try {
    await connection.beginTransaction();
    const [placed] = await connection.execute(
      "INSERT INTO orders (user_id, product_id, quantity, total, status)" +
        " VALUES (?, ?, ?, ?, ?) RETURNING *",
      [user_id, product_id, quantity, total, status],
    );
    await connection.execute("INSERT INTO outbox (type, `key`, data) VALUES (?, ?, ?)", [
      "OrderCreated",
      String(placed.id),
      JSON.stringify(placed),
    ]);
    await connection.commit();
    return placed;
  } catch (error) {
    await connection.rollback();
    throw error;
  } finally {
    await connection.release();
  }
}

await pool.query(
  "CREATE TABLE IF NOT EXISTS orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL," +
    " product_id TEXT NOT NULL, quantity BIGINT NOT NULL, total BIGINT NOT NULL, status TEXT NOT NULL)",
);
await pool.query(
  "CREATE TABLE IF NOT EXISTS outbox (id BIGINT AUTO_INCREMENT PRIMARY KEY, type TEXT NOT NULL," +
    " `key` TEXT NOT NULL, data TEXT NOT NULL)",
);
await serve({ find, place });
