// Prints what two JSON:API libraries get from CounterApi, a line a step. The argument is its address.
import Devour from 'devour-client';
import Kitsu from 'kitsu';

const apiUrl = new URL('v1', process.argv[2]).href;
const headers = { Authorization: `Bearer ${await register()}` };
await fetch(`${apiUrl}/counters/invoices/next`, { method: 'POST', headers });
await fetch(`${apiUrl}/counters/tickets/next`, { method: 'POST', headers });

const kitsu = new Kitsu({ baseURL: apiUrl, headers, pluralize: false });
const list = await kitsu.get('counters');
console.log(`kitsu lists ${list.data.map(counter => `${counter.type} ${counter.id} ${counter.current} ${counter.links.self}`).join(', ')}`);
console.log(`kitsu finds ${(await kitsu.get('counters/invoices')).data.current}`);
console.log(`kitsu updates ${(await kitsu.request({ method: 'PATCH', url: 'counters/invoices', type: 'counter', body: { id: 'invoices', current: 1000 } })).data.current}`);
await kitsu.delete('counters', 'invoices');
await kitsu.get('counters/invoices').catch(({ response, errors }) => console.log(`kitsu reads ${response.status} ${errors[0].code}`));

const devour = new Devour({ apiUrl, pluralize: false, logger: false });
devour.headers = headers;
devour.define('counter', { current: 0 }, { collectionPath: 'counters' });
console.log(`devour lists ${(await devour.findAll('counter')).data.map(counter => `${counter.id} ${counter.current}`).join(', ')}`);
console.log(`devour finds ${(await devour.find('counter', 'tickets')).data.current}`);
console.log(`devour updates ${(await devour.update('counter', { id: 'tickets', current: 2000 })).data.current}`);
await devour.destroy('counter', 'tickets');
await devour.find('counter', 'tickets').catch(errors => console.log(`devour reads ${errors[0].title}`));

async function register() {
  const response = await fetch(`${apiUrl}/register`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }),
  });
  return (await response.json()).data.attributes.token;
}
