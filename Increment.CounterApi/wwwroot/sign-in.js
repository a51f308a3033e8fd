import { call, explain, untilAnswered } from './api.js';
import { busy, make, say } from './dom.js';

const modes = {
  'sign-up': {
    title: 'Create an account', submit: 'Create account', autocomplete: 'new-password',
    question: 'Have an account?', other: 'Sign in', otherHref: '#/sign-in',
  },
  'sign-in': {
    title: 'Sign in', submit: 'Sign in', autocomplete: 'current-password',
    question: 'New here?', other: 'Create an account', otherHref: '#/sign-up',
  },
};

/** The view for signing in or up. It calls `enter` afterwards. */
export function signIn(main, mode, enter) {
  const [root, part] = make('sign-in');
  const words = modes[mode];
  const { email, password } = part.form.elements;
  document.title = `${words.title} · Increment`;
  part.origin.textContent = location.origin;
  part.title.textContent = words.title;
  part.submit.textContent = words.submit;
  part.otherQuestion.textContent = words.question;
  part.other.textContent = words.other;
  part.other.href = words.otherHref;
  part.hint.hidden = mode === 'sign-in';
  password.autocomplete = words.autocomplete;
  say(part.error);

  part.reveal.addEventListener('click', () => {
    const isShown = password.type === 'password';
    password.type = isShown ? 'text' : 'password';
    part.reveal.setAttribute('aria-pressed', isShown);
    part.reveal.textContent = isShown ? 'Hide' : 'Show';
  });

  const complain = (field, text) => {
    say(part.error, text);
    field?.setAttribute('aria-invalid', 'true');
    (field ?? part.error).focus();
  };

  part.form.addEventListener('submit', event => {
    event.preventDefault();
    say(part.error);
    for (const field of [email, password]) field.removeAttribute('aria-invalid');
    const credentials = { email: email.value.trim(), password: password.value };
    if (!email.validity.valid) return complain(email, 'Enter your e-mail address, for example ann@example.com.');
    if (!credentials.password) return complain(password, 'Enter your password.');
    if (mode === 'sign-up' && [...credentials.password].length < 8) return complain(password, 'The password needs at least 8 characters.');

    busy(part.submit, async () => {
      try {
        await call('POST', mode === 'sign-up' ? 'v1/register' : 'v1/login', { ...credentials, session: true });
        await enter();
      } catch (problem) {
        complain(undefined, problem.status === 401 ? 'The e-mail address or the password is wrong.' : explain(problem));
      }
    });
  });

  showProviders(part.providers);
  main.replaceChildren(root);
  return () => {};
}

/** Shows the providers when the service answers. Until then, and without providers, the form works. */
async function showProviders(box) {
  const answer = await untilAnswered(() => call('GET', 'v1/oauth'), () => box.isConnected);
  if (!answer) return;
  for (const provider of answer.data) {
    const link = document.createElement('a');
    link.className = 'button';
    link.href = provider.attributes.start;
    link.textContent = `Continue with ${provider.attributes.name}`;
    box.append(link);
  }
  box.hidden = answer.data.length === 0;
}
