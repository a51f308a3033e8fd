import { events, parse, whoIsSignedIn } from './api.js';

const retryAfter = 3000;

/**
 * The stream of /v1/events. It reconnects when it ends. It passes its messages to `hear`:
 * `{ type: 'state', state }`, with 'open' or 'lost'; `{ type: 'snapshot' | 'change', counters }`, with pairs of a name and
 * a BigInt; `{ type: 'remove', names }`.
 */
export class Stream {
  #user;
  #hear;
  #source;
  #retry;
  #end = new AbortController();

  constructor(user, hear) {
    this.#user = user;
    this.#hear = hear;
    addEventListener('online', () => { this.#drop(); this.#open(); }, { signal: this.#end.signal });
    addEventListener('offline', () => this.#drop(), { signal: this.#end.signal });
    this.#open();
  }

  close() {
    this.#end.abort();
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = undefined;
  }

  #open() {
    const source = this.#source = new EventSource('v1/events');
    const pairs = event => parse(event.data).data.map(({ id, attributes }) => [id, BigInt(attributes.current)]);
    source.addEventListener('open', () => this.#hear({ type: 'state', state: 'open' }));
    source.addEventListener('snapshot', event => this.#hear({ type: 'snapshot', counters: pairs(event) }));
    source.addEventListener('change', event => this.#hear({ type: 'change', counters: pairs(event) }));
    source.addEventListener('remove', event => this.#hear({ type: 'remove', names: parse(event.data).data.map(({ id }) => id) }));
    source.addEventListener('error', () => this.#onError(source));
  }

  #drop() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = undefined;
    this.#hear({ type: 'state', state: 'lost' });
  }

  // The browser reconnects after a broken connection, and gives up after an error response. The event does not contain the
  // reason, so an ordinary call checks whether the session has ended.
  async #onError(source) {
    if (source !== this.#source) return;
    this.#hear({ type: 'state', state: 'lost' });
    if (source.readyState !== EventSource.CLOSED) return;
    this.#source = undefined;
    try {
      if ((await whoIsSignedIn())?.id !== this.#user) events.dispatchEvent(new Event('signed-out'));
    } catch { /* reported through `events` */ }
    if (!this.#end.signal.aborted && !this.#source) this.#retry = setTimeout(() => this.#open(), retryAfter);
  }
}
