/** Copies the first element of a template of index.html. Returns the copy, and an object of its parts, named by data-part. */
export function make(template) {
  const root = document.getElementById(template).content.firstElementChild.cloneNode(true);
  const parts = {};
  for (const element of root.querySelectorAll('[data-part]')) parts[camel(element.dataset.part)] = element;
  return [root, parts];
}

const camel = name => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());

/** Formats an integer with separators: 1,234,567. */
export const readable = integer => integer.toLocaleString('en');

/** Formats a date and time for the page. */
export const day = text => new Date(text).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short' });

/** Announces a visible change to screen readers. */
export function announce(text) {
  document.getElementById('announcer').textContent = text;
}

/** Shows a message in `element`, or hides the element if there is no message. */
export function say(element, text) {
  element.textContent = text ?? '';
  element.hidden = !text;
}

/** Copies the text, and confirms it on the button. */
export async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
    announce('Copied');
  } catch {
    button.textContent = 'Copy it manually';
  }
  setTimeout(() => { button.textContent = label; }, 2000);
}

/** Runs an action, and marks its button as busy until it ends. A second click in the meantime has no effect. */
export async function busy(button, action) {
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  try {
    await action();
  } finally {
    button.removeAttribute('aria-busy');
  }
}

/** The button that sends a form. The event has no button if a script sends the form, as password managers do. */
export const submitter = event => event.submitter ?? event.target.querySelector('button:not([type="button"])');

/** Closes an open dialog without an answer. */
export function dismiss() {
  const dialog = document.getElementById('dialog');
  if (dialog.open) dialog.dispatchEvent(new Event('cancel'));
}

/**
 * Asks in a dialog, and runs `action` with the input. If the action fails, the dialog stays open and shows the reason.
 * @returns {Promise<boolean>} whether the action succeeded.
 */
export function ask({ title, text, confirm, danger = false, field, action, explain }) {
  const dialog = document.getElementById('dialog');
  const part = name => dialog.querySelector(`[data-part="${name}"]`);
  const input = dialog.querySelector('input');
  const error = document.getElementById('dialog-error');
  dialog.querySelector('h2').textContent = title;
  document.getElementById('dialog-text').textContent = text;
  part('confirm').textContent = confirm;
  part('confirm').classList.toggle('danger', danger);
  part('field').hidden = !field;
  part('label').textContent = field?.label ?? '';
  input.type = field?.type ?? 'text';
  input.inputMode = field?.inputMode ?? 'text';
  input.autocomplete = field?.autocomplete ?? 'off';
  input.value = field?.value ?? '';
  error.textContent = '';
  input.removeAttribute('aria-invalid');

  return new Promise(resolve => {
    const stop = new AbortController();
    const done = carriedOut => {
      stop.abort();
      dialog.close();
      input.value = '';
      resolve(carriedOut);
    };
    const listen = (element, event, handler) => element.addEventListener(event, handler, { signal: stop.signal });
    listen(part('cancel'), 'click', () => done(false));
    listen(dialog, 'cancel', event => { event.preventDefault(); done(false); });
    listen(dialog.querySelector('form'), 'submit', event => {
      event.preventDefault();
      error.textContent = '';
      busy(part('confirm'), async () => {
        try {
          await action(input.value);
          done(true);
        } catch (problem) {
          error.textContent = explain(problem);
          if (field) {
            input.setAttribute('aria-invalid', 'true');
            input.focus();
          }
        }
      });
    });
    dialog.showModal();
    if (field) input.select(); else part('cancel').focus();
  });
}
