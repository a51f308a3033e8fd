import { copy, make } from './dom.js';

const placeholder = 'YOUR_API_KEY';

/** The last key that was created on this page, for the snippets. It is stored nowhere else. */
export const fresh = { key: undefined };

const languages = {
  curl: (url, key) => `curl -X POST '${url}' \\
  -H 'Authorization: Bearer ${key}' \\
  -H 'Accept: text/plain'`,

  'C#': (url, key) => `using var http = new HttpClient();
http.DefaultRequestHeaders.Authorization = new("Bearer", "${key}");
http.DefaultRequestHeaders.Accept.ParseAdd("text/plain");

using var answer = await http.PostAsync("${url}", null);
answer.EnsureSuccessStatusCode();
long next = long.Parse(await answer.Content.ReadAsStringAsync());`,

  JavaScript: (url, key) => `const answer = await fetch('${url}', {
  method: 'POST',
  headers: { Authorization: 'Bearer ${key}', Accept: 'text/plain' },
});
if (!answer.ok) throw new Error(await answer.text());
const next = BigInt(await answer.text()); // a Number is not exact past 2^53`,
};

/** Code that uses a counter, in the language that was chosen last. */
export function snippets(name) {
  const [root, part] = make('snippet-box');
  const url = location.origin + (name === 'default' ? '/v1/next' : `/v1/counters/${encodeURIComponent(name)}/next`);
  const key = fresh.key ?? placeholder;

  const show = language => {
    const [before, ...after] = languages[language](url, key).split(key);
    const mark = document.createElement('mark');
    mark.textContent = key;
    part.code.replaceChildren(before, mark, after.join(key));
    localStorage.setItem('language', language);
  };

  for (const language of Object.keys(languages)) {
    const label = document.createElement('label');
    const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'language', value: language });
    input.addEventListener('change', () => show(language));
    label.append(input, language);
    part.languages.append(label);
  }
  const chosen = localStorage.getItem('language');
  const first = chosen in languages ? chosen : 'curl';
  part.languages.querySelector(`[value="${first}"]`).checked = true;
  show(first);

  if (fresh.key) {
    part.keyNote.textContent = 'This code contains the key that you just created. The key is removed from here when you leave the page.';
  } else {
    const link = Object.assign(document.createElement('a'), { href: '#/keys', textContent: 'Create an API key' });
    part.keyNote.append(link, ' to have it inserted in this code.');
  }
  part.copy.addEventListener('click', () => copy(part.copy, part.code.textContent));
  return root;
}
