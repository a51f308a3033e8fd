import { events } from './api.js';
import { SharedStream } from './shared-stream.js';

/**
 * The user's counters, updated by the stream of /v1/events while the page is visible. Events: `change`, with the names of
 * the changed counters as a Set in `detail`, and `state`.
 */
class Live extends EventTarget {
  /** Maps the name of each counter to its value, a BigInt. */
  counters = new Map();
  /** 'off', 'connecting', 'open' or 'lost'. */
  state = 'off';
  /** Whether a snapshot was received. */
  known = false;
  /** How often the stream has sent each counter. */
  #heard = new Map();
  #stream;
  #user;

  constructor() {
    super();
    // A hidden page needs no stream. The snapshot of the next stream includes all missed changes.
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
   * Returns a function that shows the result of a change of a counter at once. Call learner before the change, and the
   * returned function with the result. If the stream has sent the counter in the meantime, the function does nothing,
   * because the result may be older. The last message of the stream always has the latest state.
   */
  learner(name) {
    const heard = this.#heard.get(name);
    return value => {
      if (this.state === 'open' && this.#heard.get(name) !== heard) return;
      this.counters.set(name, value);
      this.#notify([name]);
    };
  }

  forget(name) {
    this.counters.delete(name);
    this.#notify([name]);
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
        this.#notify(names);
        break;
      case 'change':
        for (const [name, value] of counters) this.counters.set(name, value);
        this.#notify(this.#note(counters));
        break;
      case 'remove':
        for (const name of names) this.counters.delete(name);
        this.#notify(names);
        break;
    }
  }

  /** Stores the counters that the stream has sent, and returns their names. */
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

  #notify(names) {
    this.dispatchEvent(new CustomEvent('change', { detail: new Set(names) }));
  }
}

export const live = new Live();
