import { events } from './api.js';
import { SharedStream } from './shared-stream.js';

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
  #stream;
  #user;

  constructor() {
    super();
    // A page that nobody looks at needs no stream; the snapshot at its beginning makes up for what was missed.
    document.addEventListener('visibilitychange', () => document.hidden ? this.#close() : this.#open());
    document.addEventListener('freeze', () => this.#close());
    document.addEventListener('resume', () => this.#open());
  }

  start(user) {
    if (user !== this.#user) this.stop();
    this.#user = user;
    this.#open();
  }

  stop() {
    this.#user = undefined;
    this.#close();
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
    if (!this.#user || this.#stream || document.hidden) return;
    this.#enter('connecting');
    this.#stream = new SharedStream(this.#user, news => this.#hear(news), () => this.known ? [...this.counters] : undefined);
  }

  #close() {
    this.#stream?.close();
    this.#stream = undefined;
    this.#enter('off');
  }

  #hear({ type, state, counters, names }) {
    switch (type) {
      case 'state':
        this.#enter(state);
        break;
      case 'snapshot':
        names = [...this.counters.keys(), ...this.#note(counters)];
        this.counters = new Map(counters);
        this.known = true;
        this.#tell(names);
        break;
      case 'change':
        for (const [name, value] of counters) this.counters.set(name, value);
        this.#tell(this.#note(counters));
        break;
      case 'remove':
        for (const name of names) this.counters.delete(name);
        this.#tell(names);
        break;
    }
  }

  /** Notes what the stream has told of, and returns the names. */
  #note(counters) {
    return counters.map(([name]) => {
      this.#heard.set(name, (this.#heard.get(name) ?? 0) + 1);
      return name;
    });
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
