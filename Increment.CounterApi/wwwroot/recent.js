import { call, explain } from './api.js';
import { ask } from './dom.js';

/**
 * Runs an action that requires a recent sign-in, and asks the user to sign in again if the last one is too long ago.
 * @returns {Promise<boolean>} whether the action was done. It is not done if the user signs in through a provider: the
 * browser leaves the page, and the user has to repeat the action.
 */
export async function recently(user, action) {
  try {
    await action();
    return true;
  } catch (problem) {
    if (problem.code !== 'insufficient-user-authentication') throw problem;
  }
  const { name, hasPassword, identities } = user.attributes;
  const title = 'Sign in again';
  if (hasPassword) {
    return ask({
      title,
      text: `This action requires a recent sign-in. Enter the password of ${name}.`,
      confirm: 'Continue',
      field: { label: 'Password', type: 'password', autocomplete: 'current-password' },
      explain: problem => problem.code === 'wrong-credentials' ? 'The password is wrong.' : explain(problem),
      action: async password => {
        await call('POST', 'v1/login', { email: name, password, session: true });
        await action();
      },
    });
  }
  const { data } = await call('GET', 'v1/oauth');
  const provider = data.find(one => identities.some(identity => identity.provider === one.id));
  if (!provider) throw new Error(`None of the available providers is linked to the account ${name}.`);
  const leaves = await ask({
    title,
    text: `This action requires a recent sign-in. Sign in through ${provider.attributes.name}. You then return to this page and can repeat the action.`,
    confirm: `Continue with ${provider.attributes.name}`,
    explain,
    action: () => {},
  });
  if (leaves) location.assign(`${provider.attributes.start}?returnTo=${encodeURIComponent(`/${location.hash}`)}`);
  return false;
}
