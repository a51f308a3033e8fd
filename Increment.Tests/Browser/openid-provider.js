// A certified OpenID provider (https://github.com/panva/node-oidc-provider) on PORT of loopback, with the client CLIENT
// (its metadata of registration, as JSON) and two users with one address, which only ada has confirmed.
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const client = JSON.parse(process.env.CLIENT);
const isConfirmed = { ada: true, eve: false };
const keys = [generateKeyPairSync("rsa", { modulusLength: 2048 }), generateKeyPairSync("ec", { namedCurve: "P-256" })];

const provider = new Provider(`http://127.0.0.1:${process.env.PORT}`, {
  clients: [client],
  clientAuthMethods: [client.token_endpoint_auth_method],
  claims: { email: ["email", "email_verified"] },
  features: { jwtUserinfo: { enabled: true } },
  jwks: { keys: keys.map(({ privateKey }) => privateKey.export({ format: "jwk" })) },
  pkce: { required: () => true },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId, email: "ada@example.com", email_verified: isConfirmed[accountId] }) }),
});

// The package accepts the client's secret in the header and in the form. This refuses the way that is not registered.
provider.use((context, next) => {
  const byHeader = client.token_endpoint_auth_method === "client_secret_basic";
  context.assert(context.path !== "/token" || byHeader === "authorization" in context.headers, 401);
  return next();
});

provider.listen(process.env.PORT, "127.0.0.1");
