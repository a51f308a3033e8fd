import { Refusal, call, explain } from './api.js';
import { announce, ask, busy, day, make, say } from './dom.js';
import { live } from './live.js';

/** The account: sign out, password, providers, export, deletion. */
export function account(main, user, leave) {
  const [root, part] = make('account');
  document.title = 'Account · Increment';
  const { name, createdAt, hasPassword } = user.attributes;
  part.name.textContent = name;
  part.since.textContent = `, since ${day(createdAt)}`;
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

  carry(part.signOut, async () => {
    await call('DELETE', 'v1/tokens/current');
    leave('You are signed out.');
  });

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
    busy(event.submitter, async () => {
      try {
        await call('PUT', 'v1/me/password', { currentPassword: fields.current.value, newPassword: fields.new.value });
        say(part.passwordError);
        part.password.reset();
        part.username.value = name;
        announce('The password is changed.');
        part.passwordDone.hidden = false;
      } catch (problem) {
        say(part.passwordError, explain(problem));
        part.passwordError.focus();
      }
    });
  });

  showWays(part, user.attributes.identities);

  part.delete.addEventListener('click', async () => {
    const done = await ask({
      title: 'Delete your account?',
      text: `Your counters, their values and your keys are deleted at once. Type ${name} to go on.`,
      confirm: 'Delete everything', danger: true, explain,
      field: { label: 'Name of the account' },
      action: async typed => {
        if (typed.trim().toLowerCase() !== name.toLowerCase()) throw new Refusal(400, 'wrong-name', 'That is not the name of this account.');
        await call('DELETE', 'v1/me');
      },
    });
    if (done) leave('Your account is deleted.');
  });

  main.replaceChildren(root);
  return () => {};
}

/** The providers that are offered, and which of them sign in to the account. */
async function showWays(part, identities) {
  let providers;
  try {
    providers = (await call('GET', 'v1/oauth')).data;
  } catch {
    return;
  }
  part.wayList.append(...providers.map(({ id, attributes: { name, start } }) => {
    const [row, way] = make('way');
    way.name.textContent = name;
    way.linkName.textContent = ` ${name}`;
    way.linked.hidden = !identities.some(identity => identity.provider === id);
    way.link.hidden = !way.linked.hidden;
    way.link.addEventListener('click', () => busy(way.link, async () => {
      say(part.waysError);
      try {
        const { data } = await call('POST', `${start}?returnTo=${encodeURIComponent('/#/account')}`);
        location.assign(data.attributes.address);
      } catch (problem) {
        say(part.waysError, explain(problem));
      }
    }));
    return row;
  }));
  part.ways.hidden = providers.length === 0;
}
