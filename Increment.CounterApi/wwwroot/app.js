import { account } from './account.js';
import { Refusal, call, events, explain, untilAnswered, whoIsSignedIn } from './api.js';
import { counters } from './counter.js';
import { busy, dismiss } from './dom.js';
import { keys } from './keys.js';
import { live } from './live.js';
import { signIn } from './sign-in.js';
import { fresh } from './snippets.js';

const main = document.getElementById('main');
const tabs = document.getElementById('tabs');
const notice = document.getElementById('notice');
const liveMark = document.getElementById('live');
const signOut = document.getElementById('sign-out');
/** Informs the other tabs of a sign-in or sign-out. A message has the user or, after a sign-out, a text to show. */
const otherTabs = new BroadcastChannel('session');

let user;
let takeDown = () => {};

/** Shows the view of the current address. */
function route() {
  const [, place = '', name] = location.hash.split('/');
  takeDown();
  dismiss();
  if (!user) {
    takeDown = signIn(main, place === 'sign-in' ? 'sign-in' : 'sign-up', enter);
    return;
  }
  for (const tab of tabs.children) {
    const isHere = tab.hash === `#/${place === 'counters' ? '' : place}`;
    if (isHere) tab.setAttribute('aria-current', 'page'); else tab.removeAttribute('aria-current');
  }
  switch (place) {
    case 'keys': takeDown = keys(main, user); break;
    case 'account': takeDown = account(main, user, leave); break;
    case 'counters': takeDown = counters(main, decode(name)); break;
    default: takeDown = counters(main, 'default');
  }
}

function decode(name) {
  try {
    return decodeURIComponent(name || 'default');
  } catch {
    return 'default';
  }
}

/** Runs after a sign-in in this tab. */
async function enter() {
  const found = await whoIsSignedIn();
  if (!found) throw new Refusal(400, 'no-cookie', 'You are not signed in, because the browser did not store the cookie. Allow cookies for this site and try again.');
  arrive(found);
  main.focus();
}

function arrive(found) {
  user = found;
  fresh.key = fresh.id = undefined;
  tabs.hidden = signOut.hidden = false;
  live.start(user.id);
  otherTabs.postMessage({ user: user.id });
  if (/^#\/sign-/.test(location.hash)) history.replaceState(null, '', '#/');
  notify();
  route();
}

function leave(message) {
  user = undefined;
  fresh.key = fresh.id = undefined;
  tabs.hidden = signOut.hidden = true;
  live.stop();
  otherTabs.postMessage({ message });
  history.replaceState(null, '', '#/sign-in');
  route();
  main.focus();
  notify(message);
}

signOut.addEventListener('click', () => busy(signOut, async () => {
  try {
    await call('DELETE', 'v1/tokens/current');
    leave('You are signed out. Your API keys still work.');
  } catch (problem) {
    if (user) notify(explain(problem), 'error');
  }
}));

function notify(text, kind = '') {
  notice.replaceChildren();
  if (!text) return;
  const note = document.createElement('p');
  note.className = `note ${kind}`;
  note.textContent = text;
  notice.append(note);
}

const stateWords = { connecting: 'Connecting', open: 'Live', lost: 'Not live' };

live.addEventListener('state', () => {
  liveMark.hidden = live.state === 'off';
  liveMark.dataset.state = live.state;
  liveMark.textContent = stateWords[live.state] ?? '';
  if (live.state === 'lost') showUnreachable();
});

let isUnreachable = false;

function showUnreachable() {
  isUnreachable = true;
  notify(navigator.onLine
    ? 'The service does not answer. Trying again. The values on this page may be out of date.'
    : 'You are offline. The values on this page may be out of date until you are back online.', 'caution');
}

events.addEventListener('unreachable', showUnreachable);
events.addEventListener('reached', () => {
  if (!isUnreachable) return;
  isUnreachable = false;
  notify('Connected again.');
  setTimeout(() => { if (!isUnreachable && notice.textContent === 'Connected again.') notify(); }, 3000);
});
addEventListener('offline', showUnreachable);
events.addEventListener('signed-out', () => check('Your session has ended. Sign in again.'));
otherTabs.addEventListener('message', ({ data }) => { if (data.user !== user?.id) check(data.message); });
// A page in the back/forward cache receives no messages.
addEventListener('pageshow', event => { if (event.persisted) check('You are signed out.'); });
document.querySelector('.skip').addEventListener('click', event => {
  event.preventDefault(); // the hash is a route of the page, not an anchor
  main.focus();
});
addEventListener('hashchange', () => {
  if (!isUnreachable) notify();
  route();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});

/** Requests the signed-in user until the service answers. Returns undefined after an error that a retry does not fix. */
const ask = () => untilAnswered(whoIsSignedIn, () => {
  showUnreachable();
  return true;
});

/** Checks whether the user of this page is still signed in. */
async function check(message) {
  const found = await ask();
  if (found === undefined || found?.id === user?.id) return;
  if (found) arrive(found); else leave(message);
}

const signedIn = await ask();
if (signedIn) arrive(signedIn); else route();
