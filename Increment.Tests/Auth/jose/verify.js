// Verifies tokens as docs/api.md shows it. Arguments: the issuer, the audience, and the tokens. Prints a line for each token:
// its subject, or the code of the error and the claim that is wrong.
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [issuer, audience, ...tokens] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
for (const token of tokens) {
  try {
    const { payload } = await jwtVerify(token, keys, { issuer, audience });
    console.log(payload.sub);
  } catch (error) {
    console.log(error.code, error.claim ?? error.message);
  }
}
