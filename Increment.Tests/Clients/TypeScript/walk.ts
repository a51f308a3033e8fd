// Prints what the services answer, a line a step. The arguments are the addresses of CounterApi, JobsService and AuthService.
import createClient from 'openapi-fetch';
import type { paths as AuthPaths } from './generated/auth.js';
import type { components, paths as CounterPaths } from './generated/counter.js';
import type { paths as JobsPaths } from './generated/jobs.js';

const [counterUrl, jobsUrl, authUrl] = process.argv.slice(2).map(url => url.replace(/\/$/, ''));
const counter = createClient<CounterPaths, `application/${string}`>({ baseUrl: counterUrl });

const register = await counter.POST('/v1/register', { body: { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' } });
const token = register.data!.data.attributes.token!;
let headers = { Authorization: `Bearer ${token}` };
console.log(`registered ${register.response.status}`);

console.log(`next ${(await counter.POST('/v1/next', { headers })).data!.data.attributes.current}`);
const block = await counter.POST('/v1/next', { headers, params: { query: { count: 10 }, header: { 'Idempotency-Key': 'block' } } });
console.log(`block ${block.data!.data.attributes.first} to ${block.data!.data.attributes.last}`);
const current = await counter.GET('/v1/current', { headers });
const tag = current.response.headers.get('ETag')!;
console.log(`current ${current.data!.data.attributes.current}`);
const set = await counter.PUT('/v1/current', { headers, params: { header: { 'If-Match': tag } }, body: { current: 1000 } });
console.log(`set ${set.data!.data.attributes.current}`);
printError(await counter.PUT('/v1/current', { headers, params: { header: { 'If-Match': tag } }, body: { current: 5 } }));

// A number of JavaScript does not hold 2^63-1, so the request is a form and the response is text.
const last = { path: { name: 'last' } };
const largest = await counter.PUT('/v1/counters/{name}/current', {
  headers: { ...headers, 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'text/plain' },
  params: last, body: 'current=9223372036854775807' as never, bodySerializer: body => body, parseAs: 'text',
});
console.log(`largest ${largest.data}`);
printError(await counter.POST('/v1/counters/{name}/next', { headers, params: last }));

const names: string[] = [];
for (let after: string | undefined; names.length < 10; after = names.at(-1)) {
  const page = (await counter.GET('/v1/counters', { headers, params: { query: { 'page[size]': 1, 'page[after]': after } } })).data!;
  names.push(...page.data.map(found => found.id));
  if (page.links.next === null) break;
}
console.log(`counters ${names.join(', ')}`);

const key = (await counter.POST('/v1/tokens', { headers, body: { name: 'walk', scopes: ['counters'] } })).data!.data;
headers = { Authorization: `Bearer ${key.attributes.token}` };
console.log(`next with a key ${(await counter.POST('/v1/next', { headers })).data!.data.attributes.current}`);
headers = { Authorization: `Bearer ${token}` };
const path = { path: { id: key.id } };
console.log(`revoked ${(await counter.DELETE('/v1/tokens/{id}', { headers, params: path })).response.status}`);
printError(await counter.GET('/v1/tokens/{id}', { headers, params: path }));

const jobs = await createClient<JobsPaths>({ baseUrl: jobsUrl }).GET('/v1/jobs', { headers, params: { query: { 'page[size]': 1 } } });
console.log(`job ${jobs.data!.data[0].attributes.title}`);
const principal = await createClient<AuthPaths, 'application/json'>({ baseUrl: authUrl }).POST('/auth', { body: { token }, headers: { Accept: 'application/json' } });
console.log(`scopes ${principal.data!.scopes.length}`);

function printError({ error, response }: { error?: components['schemas']['ErrorDocument'], response: Response }) {
  console.log(`error ${response.status} ${error!.errors[0].code}`);
}
