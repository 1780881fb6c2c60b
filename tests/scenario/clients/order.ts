// SPDX-License-Identifier: Apache-2.0
import createClient from "openapi-fetch";
import type { components, paths } from "./shop.js";

export async function order(url: string, token: string, user: number, product: string): Promise<string> {
    const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
    const wanted: components["schemas"]["NewOrder"] = {
        user_id: user, items: [{ product_id: product, quantity: 2 }], payment_token: "tok_1" };
    const { data, error } = await client.POST("/api/orders", {
        body: wanted, params: { header: { Prefer: "wait=50", "Idempotency-Key": "typescript-1" } } });
    if (!data) throw new Error(`no order: ${error.detail}`);
    return `${data.status} ${data.total} ${data.items[0]?.product_name}`;
}
