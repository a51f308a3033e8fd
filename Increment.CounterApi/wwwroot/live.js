import { call, events, parse } from './api.js';

const retryAfter = 3000;

/**
 * The user's counters as they stand, kept up by the stream of /v1/events while the page is looked at.
 * Events: `change` (which counters changed: `detail`, a Set of names) and `state`.
 */
class Live extends EventTarget {
  /** Name to BigInt. */
  counters = new Map();
  /** 'off', 'connecting', 'open' or 'lost'. */
  state = 'off';
  /** Whether the counters have been heard of at all. */
  known = false;
  /** How often the stream has told of a counter. */
  #heard = new Map();
  #source;
  #retry;
  #wanted = false;

  constructor() {
    super();
    // A page that nobody looks at needs no stream; the snapshot at its beginning makes up for what was missed.
    document.addEventListener('visibilitychange', () => document.hidden ? this.#close('off') : this.#open());
    addEventListener('online', () => { this.#close('lost'); this.#open(); });
    addEventListener('offline', () => this.#close('lost'));
  }

  start() {
    this.#wanted = true;
    this.#open();
  }

  stop() {
    this.#wanted = false;
    this.#close('off');
    this.counters.clear();
    this.known = false;
  }

  /**
   * To be had before a call that changes a counter, and called with what its answer told. That shows the change at once,
   * unless the stream has told of the counter meanwhile: it may have told of a later change, and this answer would then
   * stay. The stream always tells the latest state last.
   */
  learner(name) {
    const heard = this.#heard.get(name);
    return value => {
      if (this.state === 'open' && this.#heard.get(name) !== heard) return;
      this.counters.set(name, value);
      this.#tell([name]);
    };
  }

  forget(name) {
    this.counters.delete(name);
    this.#tell([name]);
  }

  #open() {
    if (!this.#wanted || this.#source || document.hidden) return;
    clearTimeout(this.#retry);
    if (this.state === 'off') this.#enter('connecting');
    const source = this.#source = new EventSource('v1/events');
    source.addEventListener('open', () => this.#enter('open'));
    source.addEventListener('snapshot', event => {
      const before = [...this.counters.keys()];
      this.counters = new Map(this.#read(event));
      this.known = true;
      this.#tell([...before, ...this.counters.keys()]);
    });
    source.addEventListener('change', event => {
      const changed = this.#read(event);
      for (const [name, value] of changed) this.counters.set(name, value);
      this.#tell(changed.map(([name]) => name));
    });
    source.addEventListener('remove', event => {
      const removed = parse(event.data).data.map(counter => counter.id);
      for (const name of removed) this.counters.delete(name);
      this.#tell(removed);
    });
    source.addEventListener('error', () => this.#onError(source));
  }

  #read(event) {
    return parse(event.data).data.map(counter => {
      this.#heard.set(counter.id, (this.#heard.get(counter.id) ?? 0) + 1);
      return [counter.id, BigInt(counter.attributes.current)];
    });
  }

  // The browser reconnects by itself after a broken connection, and gives up after a refusal; which of them it was, it
  // does not say. An ordinary call tells, and finds an ended session out.
  async #onError(source) {
    if (source !== this.#source) return;
    this.#enter('lost');
    if (source.readyState !== EventSource.CLOSED) return;
    this.#close('lost');
    try {
      await call('GET', 'v1/me');
    } catch { /* told through `events` */ }
    if (this.#wanted) this.#retry = setTimeout(() => this.#open(), retryAfter);
  }

  #close(state) {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = undefined;
    this.#enter(this.#wanted ? state : 'off');
  }

  #enter(state) {
    if (state === this.state) return;
    this.state = state;
    if (state === 'open') events.dispatchEvent(new Event('reached'));
    this.dispatchEvent(new Event('state'));
  }

  #tell(names) {
    this.dispatchEvent(new CustomEvent('change', { detail: new Set(names) }));
  }
}

export const live = new Live();
