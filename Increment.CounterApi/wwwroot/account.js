import { Refusal, call, explain } from './api.js';
import { announce, ask, busy, day, make, say } from './dom.js';

/** The account: sign out, password, export, deletion. */
export function account(main, user, leave) {
  const [root, part] = make('account');
  document.title = 'Account · Increment';
  const { email, createdAt } = user.attributes;
  part.name.textContent = email;
  part.since.textContent = createdAt ? `, since ${day(createdAt)}` : '';
  part.username.value = email;

  const carry = (button, action) => button.addEventListener('click', () => busy(button, async () => {
    say(part.error);
    try {
      await action();
    } catch (problem) {
      say(part.error, explain(problem));
    }
  }));

  carry(part.signOut, async () => {
    await call('DELETE', 'v1/session');
    leave('You are signed out.');
  });

  carry(part.export, async () => {
    const response = await fetch('v1/me/export');
    if (!response.ok) throw new Error(`export: ${response.status}`);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await response.blob());
    link.download = 'increment-account.json';
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
        part.username.value = email;
        announce('The password is changed.');
      } catch (problem) {
        say(part.passwordError, explain(problem));
        part.passwordError.focus();
      }
    });
  });

  part.delete.addEventListener('click', async () => {
    const done = await ask({
      title: 'Delete your account?',
      text: `Your counters, their values and your keys are deleted at once. Type ${email} to go on.`,
      confirm: 'Delete everything', danger: true, explain,
      field: { label: 'E-mail' },
      action: async typed => {
        if (typed.trim().toLowerCase() !== email.toLowerCase()) throw new Refusal(400, 'wrong-address', 'That is not the e-mail address of this account.');
        await call('DELETE', 'v1/me');
      },
    });
    if (done) leave('Your account is deleted.');
  });

  main.replaceChildren(root);
  return () => {};
}
