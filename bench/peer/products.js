// SPDX-License-Identifier: Apache-2.0
// What bench/catalog does, with Fastify and MongoDB's driver, as their own guides recommend it: schemas for
// requests and answers, and the driver's pool. The event is a second write: a server without transactions
// across documents, such as FerretDB 1, has nothing that would make the two one.
//
//     node products.js PORT    the server is what MONGODB names, as a URL

import Fastify from "fastify";
import { MongoClient } from "mongodb";

const client = await new MongoClient(process.env.MONGODB, {
  maxPoolSize: 16,
  writeConcern: { w: 1, journal: true },
}).connect();
const database = client.db("bench_peer");
const products = database.collection("products");
const outbox = database.collection("outbox");

const product = {
  type: "object",
  properties: { id: { type: "string" }, name: { type: "string" }, price: { type: "integer" } },
};
const wanted = {
  type: "object",
  required: ["name", "price"],
  additionalProperties: false,
  properties: { name: { type: "string" }, price: { type: "integer" } },
};

const app = Fastify();

app.get("/products/:id", { schema: { response: { 200: product } } }, async (request, reply) => {
  const found = await products.findOne({ _id: request.params.id });
  return found ? { ...found, id: found._id } : reply.code(404).send({});
});

app.post("/products", { schema: { body: wanted, response: { 201: product } } }, async (request, reply) => {
  const id = crypto.randomUUID();
  await products.insertOne({ _id: id, ...request.body });
  await outbox.insertOne({ type: "ProductChanged", key: id, data: { id, ...request.body } });
  return reply.code(201).send({ id, ...request.body });
});

app.put("/products/:id", { schema: { body: wanted, response: { 200: product } } }, async (request) => {
  const { id } = request.params;
  await products.replaceOne({ _id: id }, request.body, { upsert: true });
  return { id, ...request.body };
});

await app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
console.log("ready");
