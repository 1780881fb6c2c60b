// SPDX-License-Identifier: Apache-2.0
import { order } from "./order.js";

const [url, token, user, product] = process.argv.slice(2);
console.log(await order(url, token, Number(user), product));
