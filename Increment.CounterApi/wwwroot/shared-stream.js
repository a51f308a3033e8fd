import { Stream } from './stream.js';

const beatEvery = 5000;
const silentAfter = 15_000;

/**
 * One Stream for all visible tabs of a user, because a browser limits the connections to a host over all tabs. The leader
 * is the tab that holds a lock. The leader has the stream, and forwards its messages to the other tabs. When the leader
 * closes, the browser gives the lock to the next tab. Without locks (over plain http), each tab has its own stream.
 */
export class SharedStream {
  #user;
  #hear;
  #counters;
  #channel;
  #stream;
  #state = 'connecting';
  #line;
  #release;
  #timer;
  #isClosed = false;
  #isWelcome = false;
  #isLeaderSilent = false;
  #heardAt = performance.now();
  /** Increases with each leader. Messages of an earlier leader, which may have been suspended, are ignored. */
  #term = 0;

  /** `hear` receives the messages of a Stream. `counters` returns the counters that this tab knows, for tabs that open later. */
  constructor(user, hear, counters) {
    this.#user = user;
    this.#hear = hear;
    this.#counters = counters;
    if (!navigator.locks) {
      this.#stream = new Stream(user, hear);
      return;
    }
    this.#channel = new BroadcastChannel(`events of ${user}`);
    this.#channel.addEventListener('message', event => this.#receive(event.data));
    this.#send({ type: 'hello' });
    this.#timer = setInterval(() => this.#beat(), beatEvery);
    this.#takePart();
  }

  close() {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#line?.abort();
    this.#stream?.close();
    this.#release?.();
    this.#channel?.close();
  }

  async #takePart() {
    while (!this.#isClosed) {
      this.#line = new AbortController();
      const how = this.#isLeaderSilent ? { steal: true } : { signal: this.#line.signal };
      try {
        await navigator.locks.request(`events of ${this.#user}`, how, () => this.#lead());
      } catch (problem) {
        if (problem.name !== 'AbortError') throw problem;
      }
      this.#stream?.close();
      this.#stream = undefined;
      this.#heardAt = performance.now();
    }
  }

  #lead() {
    this.#isLeaderSilent = false;
    if (this.#isClosed) return undefined;
    this.#term = Math.max(this.#term, Number(localStorage.getItem('term'))) + 1;
    localStorage.setItem('term', this.#term);
    this.#stream = new Stream(this.#user, news => {
      if (news.type === 'state') this.#state = news.state;
      this.#hear(news);
      this.#send(news);
    });
    return new Promise(resolve => { this.#release = resolve; });
  }

  #beat() {
    if (this.#stream) {
      this.#send({ type: 'beat' });
    } else if (performance.now() - this.#heardAt > silentAfter) {
      this.#isLeaderSilent = true;
      this.#line.abort();
    }
  }

  #send(news) {
    if (!this.#isClosed) this.#channel.postMessage({ ...news, term: this.#term });
  }

  #receive(news) {
    if (news.type === 'hello') {
      if (this.#stream) this.#send({ type: 'welcome', state: this.#state, counters: this.#counters() });
      return;
    }
    if (this.#stream || news.term < this.#term) return;
    this.#term = news.term;
    this.#heardAt = performance.now();
    if (news.type === 'welcome') this.#enter(news);
    else if (news.type !== 'beat') this.#hear(news);
  }

  #enter({ state, counters }) {
    if (this.#isWelcome) return;
    this.#isWelcome = true;
    this.#hear({ type: 'state', state });
    if (counters) this.#hear({ type: 'snapshot', counters });
  }
}
