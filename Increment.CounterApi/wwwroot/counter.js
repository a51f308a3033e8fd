import * as api from './api.js';
import { announce, ask, busy, copy, make, readable, say, submitter } from './dom.js';
import { live } from './live.js';
import { snippets } from './snippets.js';

const largest = 2n ** 63n - 1n;
const largestBlock = 1_000_000n;
const shown = 200;

/** The view of the counter `name`, with the list of all counters beside it. Returns a function that removes the view. */
export function counters(main, name) {
  const [root, part] = make('counters');
  const stop = new AbortController();
  const listen = (target, event, handler) => target.addEventListener(event, handler, { signal: stop.signal });
  document.title = name === 'default' ? 'Increment' : `${name} · Increment`;

  part.name.textContent = name === 'default' ? 'Default counter' : name;
  part.delete.hidden = name === 'default';
  part.snippets.append(snippets(name));
  part.shortcut.checked = localStorage.getItem('shortcut') !== 'off';

  const showNumber = () => {
    const value = live.counters.get(name) ?? (live.known && name === 'default' ? 0n : undefined);
    const text = value === undefined ? '' : readable(value);
    if (text === part.number.textContent) return;
    const isFirst = part.number.textContent === '';
    part.number.textContent = text;
    part.number.dataset.state = text ? 'known' : 'loading';
    part.number.style.setProperty('--digits', Math.max(4, text.length));
    if (isFirst) return;
    delete part.number.dataset.changed;
    requestAnimationFrame(() => { part.number.dataset.changed = ''; });
  };

  const rows = new Map();
  const showRow = key => {
    const value = live.counters.get(key);
    const row = rows.get(key);
    if (row && value !== undefined) row.value.textContent = readable(value);
  };

  const showList = () => {
    const names = [...new Set(['default', ...live.counters.keys()])]
      .sort((a, b) => a === 'default' ? -1 : b === 'default' ? 1 : a.localeCompare(b));
    part.empty.hidden = names.length > 1 || !live.known;
    part.filterField.hidden = names.length <= 8;
    const wanted = part.filter.value.trim().toLowerCase();
    const found = names.filter(key => key.toLowerCase().includes(wanted));
    rows.clear();
    part.list.replaceChildren(...found.slice(0, shown).map(key => {
      const [item, row] = make('counter-row');
      row.name.textContent = key;
      row.name.title = key;
      row.value.textContent = key === 'default' && live.known ? '0' : '';
      row.link.href = hrefOf(key);
      if (key === name) row.link.setAttribute('aria-current', 'page');
      rows.set(key, row);
      showRow(key);
      return item;
    }));
    if (found.length > shown) {
      const rest = document.createElement('li');
      rest.className = 'small hush';
      rest.textContent = `and ${readable(found.length - shown)} more. Find them by name.`;
      part.list.append(rest);
    }
  };

  listen(live, 'change', event => {
    const same = [...event.detail].every(key => rows.has(key) && live.counters.has(key));
    if (same) event.detail.forEach(showRow); else showList();
    showNumber();
    if (live.known && name !== 'default' && !live.counters.has(name)) {
      announce(`The counter ${name} was deleted.`);
      location.hash = '#/';
    }
  });
  listen(part.filter, 'input', showList);

  const fail = problem => {
    part.taken.textContent = '';
    say(part.error, problem.code === 'end-of-range'
      ? `The counter has too few integers left. The range ends at ${readable(largest)}. Reset the counter to continue.`
      : api.explain(problem));
  };

  const takeNext = async () => {
    const learn = live.learner(name);
    say(part.error);
    part.next.setAttribute('aria-busy', 'true');
    waiting++;
    try {
      const { current } = await api.next(name);
      learn(current);
      part.taken.textContent = `You took ${readable(current)}.`;
      announce(readable(current));
    } catch (problem) {
      fail(problem);
    } finally {
      if (--waiting === 0) part.next.removeAttribute('aria-busy');
    }
  };
  let waiting = 0;
  listen(part.next, 'click', takeNext);
  listen(document, 'keydown', event => {
    const isTyping = event.target instanceof Element && event.target.closest('input:not([type="checkbox"], [type="radio"]), select, textarea, dialog');
    // Autofill sends keydown events without a key. Without the visible option, the user could not turn the shortcut off.
    if (event.key?.toLowerCase() !== 'n' || event.repeat || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
    if (!part.shortcut.checked || !part.shortcut.checkVisibility()) return;
    event.preventDefault();
    takeNext();
  });
  listen(part.shortcut, 'change', () => localStorage.setItem('shortcut', part.shortcut.checked ? 'on' : 'off'));

  listen(part.block, 'submit', event => {
    event.preventDefault();
    const input = part.block.elements.count;
    const count = readInteger(input.value);
    const isFit = count !== undefined && count >= 1n && count <= largestBlock;
    part.blockError.textContent = isFit ? '' : 'A block has 1 to 1,000,000 integers.';
    input.toggleAttribute('aria-invalid', !isFit);
    if (!isFit) {
      input.setAttribute('aria-invalid', 'true');
      input.focus();
      return;
    }
    busy(submitter(event), async () => {
      const learn = live.learner(name);
      try {
        const { first, last, current } = await api.next(name, count);
        learn(current);
        part.blockText.textContent = first === last ? `Yours: ${readable(first)}` : `Yours: ${readable(first)} to ${readable(last)}`;
        part.blockCopy.onclick = () => copy(part.blockCopy, `${first}-${last}`);
        part.blockResult.hidden = false;
        say(part.error);
      } catch (problem) {
        fail(problem);
      }
    });
  });

  listen(part.reset, 'click', async () => {
    const done = await ask({
      title: `Reset ${name === 'default' ? 'the default counter' : `“${name}”`}?`,
      text: 'The counter continues from the value that you set. Integers that were given out before may then be given out again.',
      confirm: 'Reset', danger: true, explain: api.explain,
      field: { label: 'New value', value: '0', inputMode: 'numeric' },
      action: async text => {
        const value = readInteger(text);
        if (value === undefined || value > largest)
          throw new api.Refusal(400, 'invalid-integer', `Enter a whole number from 0 to ${readable(largest)}.`);
        const learn = live.learner(name);
        await api.reset(name, String(value));
        learn(value);
      },
    });
    if (done) {
      part.taken.textContent = '';
      say(part.error);
      part.blockResult.hidden = true;
      announce('The counter is reset.');
    }
  });

  listen(part.delete, 'click', () => ask({
    title: `Delete “${name}”?`,
    text: 'The counter and its idempotency keys are deleted. If you use the name again, the counter starts from the beginning.',
    confirm: 'Delete', danger: true, explain: api.explain,
    action: async () => {
      await api.remove(name);
      location.hash = '#/';
      live.forget(name);
    },
  }));

  listen(part.create, 'submit', event => {
    event.preventDefault();
    const input = part.create.elements.name;
    const wanted = input.value.trim();
    const problem = !wanted ? 'Enter a name.' : live.counters.has(wanted) || wanted === 'default' ? 'You already have a counter with this name.' : '';
    part.createError.textContent = problem;
    if (problem) {
      input.setAttribute('aria-invalid', 'true');
      input.focus();
      return;
    }
    busy(submitter(event), async () => {
      try {
        const learn = live.learner(wanted);
        await api.reset(wanted, '0');
        learn(0n);
        location.hash = hrefOf(wanted);
      } catch (refusal) {
        part.createError.textContent = api.explain(refusal);
        input.setAttribute('aria-invalid', 'true');
        input.focus();
      }
    });
  });
  listen(part.create, 'input', () => {
    part.createError.textContent = '';
    part.create.elements.name.removeAttribute('aria-invalid');
  });

  showNumber();
  showList();
  main.replaceChildren(root);
  return () => stop.abort();
}

const hrefOf = name => name === 'default' ? '#/' : `#/counters/${encodeURIComponent(name)}`;

/** Reads a non-negative integer that may have separators ("1,000"); undefined for any other text. */
function readInteger(text) {
  const digits = text.trim().replace(/[,\s_]/g, '');
  return /^\d{1,19}$/.test(digits) ? BigInt(digits) : undefined;
}
