/** A refused or failed call. `status` is 0 if there was no answer. */
export class Refusal extends Error {
  constructor(status, code, detail, retryAfter) {
    super(detail);
    Object.assign(this, { status, code, retryAfter });
  }

  /** Whether a retry may succeed in a moment. */
  get isPassing() {
    return this.status === 0 || this.status >= 502 || this.code === 'idempotency-key-in-use';
  }
}

/** Events: `signed-out` when a call shows that the session has ended; `reached` and `unreachable` for the connection to the service. */
export const events = new EventTarget();

/**
 * Calls the API with the session cookie.
 * @param body a plain object, sent as JSON, or URLSearchParams, sent as a form.
 * @returns the JSON document, null for 204. Integers that a Number cannot hold are text.
 */
export async function call(method, path, body, headers = {}, signal = undefined) {
  const isJson = body && !(body instanceof URLSearchParams);
  let response, text;
  try {
    response = await fetch(path, {
      method,
      headers: { Accept: 'application/vnd.api+json', ...(isJson && { 'Content-Type': 'application/json' }), ...headers },
      body: isJson ? JSON.stringify(body) : body,
      cache: 'no-store',
      signal,
    });
    text = await response.text();
  } catch {
    events.dispatchEvent(new Event('unreachable'));
    throw new Refusal(0, 'unreachable', '');
  }
  if (response.status < 502) events.dispatchEvent(new Event('reached'));
  if (response.ok) return text ? parse(text) : null;

  const error = readError(text);
  const refusal = new Refusal(response.status, error.code, error.detail, Number(response.headers.get('Retry-After')) || undefined);
  if (refusal.status === 401 && refusal.code === 'unauthorized') events.dispatchEvent(new Event('signed-out'));
  throw refusal;
}

/**
 * Sends a request again until the service answers, or until `goesOn` returns false after a failure.
 * @returns undefined without an answer, and after an error that a retry does not fix.
 */
export async function untilAnswered(request, goesOn) {
  for (;;) {
    try {
      return await request();
    } catch (problem) {
      if (!problem.isPassing || !goesOn()) return undefined;
    }
    await new Promise(resolve => setTimeout(resolve, 2000));
  }
}

/** The account that this browser is signed in to, or null. */
export const whoIsSignedIn = async () => (await call('GET', 'v1/session', undefined, {}, AbortSignal.timeout(10_000))).data;

/** JSON.parse, except that an integer of 16 digits or more becomes text, because a Number could round it. */
export function parse(json) {
  return JSON.parse(json.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}/g, token => token[0] === '"' ? token : `"${token}"`));
}

function readError(text) {
  try {
    return JSON.parse(text).errors[0];
  } catch {
    return { code: 'unknown', detail: '' };
  }
}

/** The error message that the page shows. */
export function explain(problem) {
  if (!(problem instanceof Refusal)) {
    console.error(problem);
    return 'An error occurred in this page. Load the page again.';
  }
  if (problem.code === 'oauth-provider-failed') return problem.message;
  if (problem.code === 'wrong-origin')
    return `The service refuses changes from this page, because it is not configured for the address ${location.origin}. The operator must set Increment:PublicOrigin to ${location.origin}.`;
  const words = {
    0: navigator.onLine ? 'No answer from the service. Try again in a moment.' : 'You are offline. Try again when you are back online.',
    401: 'Your session has ended, or this action requires a recent sign-in. Sign in again.',
    404: 'This item no longer exists. Load the page again to see the current state.',
    429: `Too many requests. Try again in ${problem.retryAfter ?? 60} seconds.`,
    500: 'The service had an internal error. Nothing was lost. Try again.',
    502: 'The service is starting or busy. Try again in a moment.',
    503: 'The service is busy or starting. Try again in a moment.',
    504: 'The service took too long. Try again.',
  };
  return words[problem.status] ?? (problem.message || `The service refused this (${problem.status}).`);
}

/** The user's valid tokens, newest first. */
export async function tokens() {
  const all = [];
  for (let page = 'v1/tokens?page[size]=100'; page; ) {
    const answer = await call('GET', page);
    all.push(...answer.data);
    page = answer.links?.next;
  }
  return all.reverse();
}

export const isKey = token => token.attributes.kind === 'key';

export const revoke = token => call('DELETE', `v1/tokens/${encodeURIComponent(token.id)}`);

const pathOf = name => name === 'default' ? '/v1' : `/v1/counters/${encodeURIComponent(name)}`;
const attributes = answer => answer.data.attributes;

/**
 * Takes the next integer, or a block of integers. After a call without an answer, it retries with the same
 * Idempotency-Key, so that no integers are lost.
 */
export async function next(name, count) {
  const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('');
  for (let attempt = 0; ; attempt++) {
    try {
      const taken = attributes(await call('POST', `${pathOf(name)}/next${count ? `?count=${count}` : ''}`, null, { 'Idempotency-Key': `"${key}"` }));
      return { current: BigInt(taken.current), first: BigInt(taken.first ?? taken.current), last: BigInt(taken.last ?? taken.current) };
    } catch (problem) {
      if (!problem.isPassing || attempt === 8) throw problem;
      await new Promise(resolve => setTimeout(resolve, Math.min(250 * 2 ** attempt, 4000)));
    }
  }
}

/** Sets a counter, or creates it. `value` is text, because a form carries every integer exactly. */
export const reset = (name, value) => call('PUT', `${pathOf(name)}/current`, new URLSearchParams({ current: value }));

export const remove = name => call('DELETE', `/v1/counters/${encodeURIComponent(name)}`);
