// SPDX-License-Identifier: Apache-2.0
// A saga of three steps as DBOS' own guide has it: a workflow whose steps are recorded in PostgreSQL, begun and waited
// for over HTTP by Fastify. The steps are calls of the program `steps`.
//
//     node dbos.js PORT    STEPS names the address of `steps`, DATABASE the database, as a URL

import { DBOS } from "@dbos-inc/dbos-sdk";
import Fastify from "fastify";

const steps = `http://${process.env.STEPS}`;

async function call(path, asked) {
  const answer = await fetch(steps + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(asked),
  });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`${path} was answered ${answer.status}`);
}

const step = (name, path, asked) => DBOS.runStep(() => call(path, asked), { name });

async function buy({ product_id, quantity, total }) {
  const order_id = DBOS.workflowID;
  await step("reserve", "/reservations", { order_id, product_id, quantity });
  try {
    await step("charge", "/charges", { order_id, total });
  } catch (refused) {
    await step("release", "/reservations/release", { order_id });
    throw refused;
  }
  await step("confirm", "/confirmations", { order_id });
  return { order_id };
}

DBOS.setConfig({
  name: "bench",
  systemDatabaseUrl: process.env.DATABASE,
  systemDatabasePoolSize: 16,
  logLevel: "error",
  runAdminServer: false,
});
const purchase = DBOS.registerWorkflow(buy, { name: "buy" });
await DBOS.launch();

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
const app = Fastify();
app.post("/purchases", { schema: { body: wanted } }, (request) => purchase(request.body));
await app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
console.log("ready");
