import { Refusal, call, explain, isKey, revoke, tokens } from './api.js';
import { announce, ask, busy, day, make, say, submitter } from './dom.js';
import { live } from './live.js';
import { recently } from './recent.js';

/** The view of the account: password, providers, export, deletion. */
export function account(main, user, leave) {
  const [root, part] = make('account');
  document.title = 'Account · Increment';
  const { name, createdAt, hasPassword } = user.attributes;
  part.name.textContent = name;
  part.since.textContent = `. This account was created on ${day(createdAt)}.`;
  part.passwordCard.hidden = !hasPassword;
  part.username.value = name;

  const carry = (button, action) => button.addEventListener('click', () => busy(button, async () => {
    say(part.error);
    try {
      await action();
    } catch (problem) {
      say(part.error, explain(problem));
    }
  }));

  carry(part.export, async () => {
    const kept = JSON.stringify(await call('GET', 'v1/me/export'), null, 2);
    const counters = [...live.counters].map(([counter, current]) => `    ${JSON.stringify(counter)}: ${current}`);
    const file = new Blob([`{\n  "account": ${kept},\n  "counters": {\n${counters.join(',\n')}\n  }\n}\n`], { type: 'application/json' });
    const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(file), download: 'increment.json' });
    link.click();
    URL.revokeObjectURL(link.href);
  });

  part.password.addEventListener('submit', event => {
    event.preventDefault();
    const fields = part.password.elements;
    busy(submitter(event), async () => {
      try {
        await call('PUT', 'v1/me/password', { currentPassword: fields.current.value, newPassword: fields.new.value });
        say(part.passwordError);
        part.password.reset();
        part.username.value = name;
        announce('The password is changed.');
        part.passwordDone.hidden = false;
        await showAlive(part, user);
      } catch (problem) {
        say(part.passwordError, explain(problem));
        part.passwordError.focus();
      }
    });
  });

  carry(part.revokeKeys, async () => {
    for (const key of (await tokens()).filter(isKey)) await revoke(key);
    await showAlive(part, user);
  });

  showWays(part, user);

  part.delete.addEventListener('click', async () => {
    const done = await ask({
      title: 'Delete your account?',
      text: `Your counters, their values and your keys are deleted immediately. Type ${name} to continue.`,
      confirm: 'Delete everything', danger: true, explain,
      field: { label: 'Account name' },
      action: async typed => {
        if (typed.trim().toLowerCase() !== name.toLowerCase()) throw new Refusal(400, 'wrong-name', 'This is not the name of the account.');
      },
    });
    if (!done) return;
    try {
      if (await recently(user, () => call('DELETE', 'v1/me'))) leave('Your account is deleted.');
    } catch (problem) {
      say(part.error, explain(problem));
    }
  });

  main.replaceChildren(root);
  return () => {};
}

/** Shows what stays valid after a new password: the API keys and the linked identities. */
async function showAlive(part, user) {
  const keys = (await tokens()).filter(isKey).length;
  const identities = user.attributes.identities.length;
  const count = (number, one, many) => number === 1 ? `1 ${one}` : `${number} ${many}`;
  part.alive.textContent = keys || identities
    ? `Still valid: ${count(keys, 'API key', 'API keys')} and ${count(identities, 'linked provider', 'linked providers')}. Revoke or unlink what you do not recognize.`
    : 'The account has no API keys and no linked providers.';
  part.revokeKeys.hidden = keys === 0;
}

/** Shows the linked identities, and the providers that can be linked. */
async function showWays(part, user) {
  let providers;
  try {
    providers = (await call('GET', 'v1/oauth')).data;
  } catch {
    return;
  }
  const { identities } = user.attributes;
  const nameOf = id => providers.find(provider => provider.id === id)?.attributes.name ?? id;
  const row = (name, provider, identity) => {
    const [item, way] = make('way');
    const act = (button, action) => button.addEventListener('click', () => busy(button, async () => {
      say(part.waysError);
      try {
        await action();
      } catch (problem) {
        say(part.waysError, explain(problem));
      }
    }));
    way.name.textContent = name;
    way.linkName.textContent = way.unlinkName.textContent = ` ${name}`;
    way.linked.hidden = way.unlink.hidden = !identity;
    way.link.hidden = !!identity;
    act(way.link, () => recently(user, async () => {
      const { data } = await call('POST', `${provider.attributes.start}?returnTo=${encodeURIComponent('/#/account')}`);
      location.assign(data.attributes.address);
    }));
    act(way.unlink, async () => {
      const isSure = await ask({
        title: `Unlink ${name}?`, text: `You can no longer sign in to this account through ${name}. All other browsers and programs are signed out.`,
        confirm: 'Unlink', danger: true, explain, action: () => {},
      });
      if (!isSure || !await recently(user, () => call('DELETE', `v1/me/identities/${identity.id}`))) return;
      Object.assign(user, (await call('GET', 'v1/me')).data);
      announce(`${name} is unlinked.`);
      await showWays(part, user);
    });
    return item;
  };
  part.wayList.replaceChildren(
    ...identities.map(identity => row(nameOf(identity.provider), null, identity)),
    ...providers.filter(provider => !identities.some(identity => identity.provider === provider.id)).map(provider => row(provider.attributes.name, provider)));
  part.ways.hidden = !part.wayList.children.length;
}
