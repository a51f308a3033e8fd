import { call, explain, isKey, revoke, tokens } from './api.js';
import { ask, busy, copy, day, make, say, submitter } from './dom.js';
import { recently } from './recent.js';
import { fresh } from './snippets.js';

/** The view of the API keys: create a key and show it once, list keys, revoke them. */
export function keys(main, user) {
  const [root, part] = make('keys');
  document.title = 'API keys · Increment';

  const row = token => {
    const [item, cell] = make('key-row');
    const { kind, createdAt, lastUsedAt, expiresAt, scopes, current } = token.attributes;
    const name = token.attributes.name ?? (kind === 'session' ? 'A browser' : 'A program');
    cell.name.textContent = name;
    cell.badge.hidden = !current;
    cell.badge.textContent = 'this browser';
    cell.revoke.hidden = current; // the button "Sign out" revokes it
    cell.facts.textContent = [
      `${kind === 'key' ? 'created' : 'signed in'} ${day(createdAt)}`,
      lastUsedAt ? `last used ${day(lastUsedAt)}` : kind === 'key' && 'never used',
      expiresAt && `expires ${day(expiresAt)}`,
      kind === 'key' && scopes.join(', '),
    ].filter(Boolean).join(' · ');
    cell.revokeName.textContent = ` ${name}`;
    cell.revoke.addEventListener('click', async () => {
      const done = await ask({
        title: kind === 'key' ? `Revoke “${name}”?` : 'End this sign-in?',
        text: kind === 'key' ? 'Programs that use this key, or a key that was created with it, are refused within seconds. This cannot be undone.' : 'The browser or program is signed out within seconds.',
        confirm: 'Revoke', danger: true, explain,
        action: () => revoke(token),
      });
      if (!done) return;
      if (fresh.id === token.id) {
        fresh.key = fresh.id = undefined;
        part.made.hidden = true;
      }
      await show();
    });
    return item;
  };

  const show = async () => {
    try {
      const all = await tokens();
      say(part.listError);
      part.list.replaceChildren(...all.filter(isKey).map(row));
      part.empty.hidden = all.some(isKey);
      part.sessionList.replaceChildren(...all.filter(token => !isKey(token)).map(row));
      part.sessions.hidden = all.every(isKey);
    } catch (problem) {
      say(part.listError, explain(problem));
    }
  };

  part.make.addEventListener('submit', event => {
    event.preventDefault();
    const { name, expiry } = part.make.elements;
    const scopes = [...part.make.querySelectorAll('[name="scope"]:checked')].map(box => box.value);
    const problem = !name.value.trim() ? 'Enter a name, so that you recognize the key later.' : !scopes.length ? 'Choose what the key may do.' : '';
    name.toggleAttribute('aria-invalid', false);
    say(part.error, problem);
    if (problem) {
      if (scopes.length) {
        name.setAttribute('aria-invalid', 'true');
        name.focus();
      }
      return;
    }
    busy(submitter(event), async () => {
      try {
        const expiresAt = expiry.value ? new Date(Date.now() + expiry.value * 86_400_000).toISOString() : undefined;
        let data;
        const isMade = await recently(user, async () => ({ data } = await call('POST', 'v1/tokens', { name: name.value.trim(), scopes, expiresAt })));
        if (!isMade) return;
        fresh.key = data.attributes.token;
        fresh.id = data.id;
        part.madeName.textContent = `The key “${data.attributes.name}” is created.`;
        part.madeToken.textContent = fresh.key;
        part.made.hidden = false;
        part.make.reset();
        part.made.focus();
        await show();
      } catch (refusal) {
        say(part.error, explain(refusal));
      }
    });
  });
  part.madeCopy.addEventListener('click', () => copy(part.madeCopy, part.madeToken.textContent));

  show();
  main.replaceChildren(root);
  return () => {};
}
