// SPDX-License-Identifier: Apache-2.0
// What the shop's carts do, with Fastify and ioredis, as their own guides recommend it: schemas for
// requests and answers, one connection, the commands of an update in one MULTI in one round trip.
// The same routes, keys and server; it keeps no record of a command, and publishes nothing.
//
//     node carts.js PORT    the server is what REDIS names, as JSON

import Fastify from "fastify";
import { Redis } from "ioredis";

const KEPT_MS = 90 * 24 * 60 * 60 * 1000;
const ITEMS_MAX = 100;
const server = JSON.parse(process.env.REDIS);
const redis = new Redis({
  host: server.host,
  port: server.port,
  username: server.user,
  password: server.password,
  keyPrefix: "bench_peer:",
});

const cart = {
  type: "object",
  properties: {
    user_id: { type: "integer" },
    items: {
      type: "array",
      items: {
        type: "object",
        properties: { product_id: { type: "string" }, quantity: { type: "integer" } },
      },
    },
  },
};
const quantity = {
  type: "object",
  required: ["quantity"],
  additionalProperties: false,
  properties: { quantity: { type: "integer", minimum: 1, maximum: 1000000000 } },
};
const params = {
  type: "object",
  properties: {
    user_id: { type: "integer", minimum: 1 },
    product_id: { type: "string", minLength: 1, maxLength: 200 },
  },
};

function answer(user_id, quantities) {
  const items = Object.entries(quantities).map(([product_id, quantity]) => ({
    product_id,
    quantity: Number(quantity),
  }));
  return { user_id, items };
}

const app = Fastify();

app.get("/api/carts/:user_id", { schema: { params, response: { 200: cart } } }, async (request) => {
  const { user_id } = request.params;
  return answer(user_id, await redis.hgetall(`cart:${user_id}`));
});

app.put(
  "/api/carts/:user_id/items/:product_id",
  { schema: { params, body: quantity, response: { 200: cart } } },
  async (request, reply) => {
    const { user_id, product_id } = request.params;
    const key = `cart:${user_id}`;
    const [, , [failed, quantities]] = await redis
      .multi()
      .hset(key, product_id, request.body.quantity)
      .pexpireat(key, Date.now() + KEPT_MS)
      .hgetall(key)
      .exec();
    if (failed) throw failed;
    if (Object.keys(quantities).length > ITEMS_MAX) {
      await redis.hdel(key, product_id);
      return reply.code(409).send({});
    }
    return answer(user_id, quantities);
  },
);

await app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
console.log("ready");
