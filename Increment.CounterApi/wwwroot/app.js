import { account } from './account.js';
import { call, events } from './api.js';
import { counters } from './counter.js';
import { keys } from './keys.js';
import { live } from './live.js';
import { signIn } from './sign-in.js';
import { fresh } from './snippets.js';

const main = document.getElementById('main');
const tabs = document.getElementById('tabs');
const notice = document.getElementById('notice');
const liveMark = document.getElementById('live');

let user;
let takeDown = () => {};

/** Shows what the address names. */
function route(message) {
  const [, place = '', name] = location.hash.split('/');
  takeDown();
  if (!user) {
    takeDown = signIn(main, place === 'sign-in' ? 'sign-in' : 'sign-up', enter, message);
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

async function enter() {
  user = (await call('GET', 'v1/me')).data;
  tabs.hidden = false;
  live.start();
  if (/^#\/sign-/.test(location.hash)) history.replaceState(null, '', '#/');
  route();
  main.focus();
}

function leave(message) {
  user = undefined;
  fresh.key = fresh.id = undefined;
  tabs.hidden = true;
  live.stop();
  history.replaceState(null, '', '#/sign-in');
  route();
  notify(message);
}

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
    ? 'The service does not answer. Trying again; what you see may be old.'
    : 'You are offline. What you see may be old; it goes on when you are back.', 'caution');
}

events.addEventListener('unreachable', showUnreachable);
events.addEventListener('reached', () => {
  if (!isUnreachable) return;
  isUnreachable = false;
  notify('Connected again.');
  setTimeout(() => { if (!isUnreachable && notice.textContent === 'Connected again.') notify(); }, 3000);
});
addEventListener('offline', showUnreachable);
events.addEventListener('signed-out', () => { if (user) leave('Your session has ended. Sign in again.'); });
addEventListener('hashchange', () => {
  if (!isUnreachable) notify();
  route();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});

/** Asks who is signed in, until there is an answer. */
async function start() {
  for (;;) {
    try {
      await enter();
      return;
    } catch (problem) {
      if (problem.status === 401 || !problem.isPassing) {
        route();
        return;
      }
    }
    await new Promise(resolve => setTimeout(resolve, 2000));
  }
}

start();
