// SPDX-License-Identifier: Apache-2.0
// A provider for tests, npm's oidc-provider: clients log in by their secret and get signed access tokens. Arguments: the
// port, and the file of its keys, a private JWK set. It says "ready" when it serves.
import { readFileSync } from "node:fs";
import Provider from "oidc-provider";

const [port, keys] = process.argv.slice(2);
const jwks = JSON.parse(readFileSync(keys, "utf8"));
const resource = "urn:shop";

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks,
  clients: [{
    client_id: "reporting", client_secret: "a secret of tests", grant_types: ["client_credentials"], redirect_uris: [],
    response_types: [], id_token_signed_response_alg: jwks.keys[0].alg,
  }],
  scopes: ["stock:read"],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      getResourceServerInfo: () => ({
        scope: "stock:read", audience: "shop", accessTokenFormat: "jwt", accessTokenTTL: 600,
        jwt: { sign: { alg: jwks.keys[0].alg } },
      }),
    },
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
