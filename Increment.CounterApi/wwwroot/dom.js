/** The first element of a template of index.html, and its parts by their data-part. */
export function make(template) {
  const root = document.getElementById(template).content.firstElementChild.cloneNode(true);
  const parts = {};
  for (const element of root.querySelectorAll('[data-part]')) parts[camel(element.dataset.part)] = element;
  return [root, parts];
}

const camel = name => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());

/** Grouped as people read it: 1,234,567. */
export const readable = integer => integer.toLocaleString('en');

/** A moment as people read it. */
export const day = text => new Date(text).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short' });

/** Announces a visible change to screen readers. */
export function announce(text) {
  document.getElementById('announcer').textContent = text;
}

/** Shows a message in its place, or takes it away. */
export function say(element, text) {
  element.textContent = text ?? '';
  element.hidden = !text;
}

/** Copies, and says on the button that it did. */
export async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
    announce('Copied');
  } catch {
    button.textContent = 'Select it and copy';
  }
  setTimeout(() => { button.textContent = label; }, 2000);
}

/** Runs an action once at a time, with its button marked as busy meanwhile. */
export async function busy(button, action) {
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  try {
    await action();
  } finally {
    button.removeAttribute('aria-busy');
  }
}

/** The button that sends a form; the event names none where a script sends the form, as password managers do. */
export const submitter = event => event.submitter ?? event.target.querySelector('button:not([type="button"])');

/** Takes a question away that was not answered. */
export function dismiss() {
  const dialog = document.getElementById('dialog');
  if (dialog.open) dialog.dispatchEvent(new Event('cancel'));
}

/**
 * Asks in a dialog, and carries out `action` with what was typed; the dialog stays, with the reason, while that fails.
 * @returns {Promise<boolean>} whether it was carried out.
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
