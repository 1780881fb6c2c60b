// SPDX-License-Identifier: Apache-2.0
// What bench/orders does over HTTP, with Fastify, as its own guide recommends it: schemas for requests and
// answers. The store is the caller's: `find(id)` gives an order or nothing, `place(order)` the order
// as it was stored, its event beside it.

import Fastify from "fastify";

const order = {
  type: "object",
  properties: {
    id: { type: "integer" },
    user_id: { type: "integer" },
    product_id: { type: "string" },
    quantity: { type: "integer" },
    total: { type: "integer" },
    status: { type: "string" },
  },
};
const wanted = {
  type: "object",
  required: ["user_id", "product_id", "quantity", "total"],
  additionalProperties: false,
  properties: {
    user_id: { type: "integer" },
    product_id: { type: "string" },
    quantity: { type: "integer", minimum: 1 },
    total: { type: "integer" },
  },
};
const params = { type: "object", properties: { id: { type: "integer" } } };

export async function serve({ find, place }) {
  const app = Fastify();
  app.get("/orders/:id", { schema: { params, response: { 200: order } } }, async (request, reply) => {
    const found = await find(request.params.id);
    return found ?? reply.code(404).send({});
  });
  app.post("/orders", { schema: { body: wanted, response: { 201: order } } }, async (request, reply) =>
    reply.code(201).send(await place({ ...request.body, status: "PLACED" })),
  );
  await app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
  console.log("ready");
}
