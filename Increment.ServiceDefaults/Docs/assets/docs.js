/** Creates an element `tag` with these properties and children. */
function element(tag, properties = {}, ...children) {
  const { dataset, ...others } = properties;
  const made = Object.assign(document.createElement(tag), others);
  Object.assign(made.dataset, dataset);
  made.append(...children.filter(child => child !== undefined && child !== null));
  return made;
}

function make(template) {
  const root = document.getElementById(template).content.firstElementChild.cloneNode(true);
  const parts = {};
  for (const part of root.querySelectorAll('[data-part]')) parts[part.dataset.part.replace(/-(.)/g, (_, letter) => letter.toUpperCase())] = part;
  return [root, parts];
}

/** Turns text into paragraphs, and text in backticks into code elements. */
const prose = (text = '') => text.split(/\n{2,}/).filter(Boolean).map(paragraph => element('p', {}, ...inline(paragraph)));

const inline = (text = '') => text.split(/(`[^`]+`)/).map(piece => piece[0] === '`' ? element('code', { textContent: piece.slice(1, -1) }) : piece);

let api;

/** Follows a $ref of the document. Returns any other value unchanged. */
function resolve(value) {
  while (value?.$ref) {
    const { $ref, ...beside } = value;
    value = { ...$ref.slice(2).split('/').reduce((at, key) => at[key.replaceAll('~1', '/').replaceAll('~0', '~')], api), ...beside };
  }
  return value;
}

/** The example of a schema. If it has none, one is made from its type and properties. */
function sample(schema) {
  schema = resolve(schema);
  if (schema.example !== undefined) return schema.example;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.type === 'array') return [sample(schema.items)];
  if (schema.type === 'object') {
    return Object.fromEntries(Object.entries(schema.properties ?? {})
      .filter(([name]) => schema.required?.includes(name)).map(([name, property]) => [name, sample(property)]));
  }
  return { integer: 0, number: 0, boolean: true }[schema.type] ?? (schema.format === 'date-time' ? '2026-11-22T09:30:00Z' : '…');
}

const written = example => typeof example === 'string' ? example : laidOut(example);

/** Formats JSON. A value that fits on a line stays on one line. */
function laidOut(value, indent = '') {
  const line = JSON.stringify(value);
  if (typeof value !== 'object' || value === null || (indent + line).length <= 72) return line.replace(/("(?:[^"\\]|\\.)*")|([:,])/g, (_, text, mark) => text ?? `${mark} `);
  const inner = `${indent}  `;
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const items = Object.entries(value).map(([key, item]) => inner + (Array.isArray(value) ? '' : `${JSON.stringify(key)}: `) + laidOut(item, inner));
  return `${open}\n${items.join(',\n')}\n${indent}${close}`;
}

/** The examples of a media type, as pairs of a title and a text. */
function samples({ schema, example, examples }) {
  if (examples) return Object.values(examples).map(one => [one.summary, written(one.value)]);
  return [[undefined, written(example ?? sample(schema))]];
}

function typeOf(schema) {
  const { type, format, minimum, maximum, minLength, maxLength, enum: values, const: constant, items, default: standard } = schema;
  if (constant !== undefined) return JSON.stringify(constant);
  if (values) return values.map(value => JSON.stringify(value)).join(' or ');
  const range = minimum !== undefined || maximum !== undefined ? `, ${minimum ?? ''} to ${maximum ?? ''}` : '';
  const length = maxLength !== undefined ? `, ${minLength ?? 0} to ${maxLength} characters` : '';
  const name = type === 'array' ? `list of ${typeOf(resolve(items))}` : [type].flat().filter(one => one !== 'null').join(' or ') || 'anything';
  return name + (format ? ` (${format})` : '') + range + length + (standard !== undefined ? `, default ${standard}` : '');
}

const field = (name, note, schema, description) => element('div', {},
  element('dt', {}, element('code', { textContent: name }), note && element('small', { textContent: note })),
  element('dd', {}, element('span', { className: 'type', textContent: typeOf(schema) }),
    ...(description ?? schema.description ? [element('p', {}, ...inline(description ?? schema.description))] : [])));

/** The fields of a body, with paths such as data.attributes.current. */
function* fieldsOf(schema, prefix = '') {
  schema = resolve(schema);
  for (const [name, raw] of Object.entries(schema.properties ?? {})) {
    const property = resolve(raw);
    const inner = property.type === 'array' ? resolve(property.items) : property;
    const path = prefix + name + (property.type === 'array' ? '[]' : '');
    if (inner.properties) yield* fieldsOf(inner, `${path}.`);
    else yield field(path, schema.required?.includes(name) ? 'required' : undefined, property);
  }
}

/** The labels of scrollable parts include the operation, so that they are unique. */
const code = (text, label) => element('pre', { tabIndex: 0, role: 'group', ariaLabel: label }, element('code', { textContent: text }));

function content(media, label) {
  return Object.entries(media).flatMap(([type, body]) => samples(body).map(([title, text]) => element('div', { className: 'sample' },
    element('p', { className: 'small hush' }, element('code', { textContent: type }), title ? ` · ${title}` : ''),
    code(text, [label, type, title].filter(Boolean).join(', ')))));
}

function describeInput(parameters, body, of) {
  const parts = [];
  if (parameters.length) {
    parts.push(element('h4', { textContent: 'Parameters' }), element('dl', { className: 'fields' }, ...parameters.map(parameter =>
      field(parameter.name, `${parameter.in}${parameter.required ? ', required' : ''}`, resolve(parameter.schema), parameter.description))));
  }
  if (body) {
    const fields = [...fieldsOf(Object.values(body.content)[0].schema)];
    parts.push(element('h4', { textContent: 'Body' }), element('dl', { className: 'fields' }, ...fields), ...content(body.content, `${of}, example body`));
  }
  return parts;
}

/** Whether many operations share the response. The section on errors describes it. */
const isCommon = ([, response]) => /^#\/components\/responses\/\d+$/.test(response.$ref);

function describeAnswers(responses, of) {
  const all = Object.entries(responses).sort(([a], [b]) => a - b);
  const answers = all.filter(one => !isCommon(one)).map(([status, response], index) => {
    response = resolve(response);
    const title = [element('span', { className: 'status', textContent: status, dataset: { class: status[0] } }), ...inline(response.description)];
    const headers = Object.entries(response.headers ?? {}).map(([name, header]) => {
      header = resolve(header);
      return field(name, 'header', resolve(header.schema), header.description);
    });
    if (!headers.length && !response.content) return element('div', {}, ...title);
    return element('details', { open: index === 0 && of !== 'Errors' }, element('summary', {}, ...title), element('div', { className: 'inside' },
      headers.length ? element('dl', { className: 'fields' }, ...headers) : undefined,
      ...(response.content ? content(response.content, `${of}, example of ${status}`) : [])));
  });
  const common = all.filter(isCommon).map(([status]) => element('span', { className: 'status', textContent: status, dataset: { class: status[0] } }));
  return [element('h4', { textContent: 'Answers' }), element('div', { className: 'answers' }, ...answers,
    common.length ? element('p', { className: 'small common' }, ...common, element('a', { href: '#errors', textContent: 'described under Errors' })) : undefined)];
}

/** Describes the responses that many operations share. */
function describeErrors() {
  const common = Object.fromEntries(Object.entries(api.components.responses).filter(([name]) => /^\d+$/.test(name)));
  return element('article', { className: 'card operation', id: 'errors', ariaLabel: 'Errors' },
    element('div', { className: 'prose' }, ...prose('An error is a JSON:API document. `code` is stable and meant for programs. `detail` says what to do. Include `meta.traceId` when you ask for help.')),
    element('dl', { className: 'fields' }, ...fieldsOf(api.components.schemas.Errors)),
    describeAnswers(common, 'Errors').at(-1));
}

function describeSecurity(security) {
  if (!security?.length) return 'No token needed';
  const scope = Object.values(security[0])[0][0];
  return `Needs a token${security.some(way => 'session' in way) ? ' or a session' : ''}${scope ? ` with the scope ${scope}` : ''}`;
}

/** Adds a form that makes the call and shows the response. */
function tryOut(part, id, method, path, parameters, body, responses) {
  const input = (name, label, attributes, className) => element('div', { className: `field ${className ?? ''}` },
    element('label', { htmlFor: `${id}-${name}`, textContent: label }), element('input', { id: `${id}-${name}`, name, autocomplete: 'off', spellcheck: false, ...attributes }));
  const choice = (name, label, values) => element('div', { className: 'field' },
    element('label', { htmlFor: `${id}-${name}`, textContent: label }),
    element('select', { id: `${id}-${name}`, name }, ...values.map(value => element('option', { textContent: value }))));

  for (const parameter of parameters) {
    part.form.append(input(`parameter:${parameter.name}`, `${parameter.name}${parameter.required ? '' : ' (optional)'}`, { value: parameter.required ? parameter.example ?? '' : '' }));
  }
  const accepted = [...new Set(Object.entries(responses).filter(([status]) => status < 300).flatMap(([, response]) => Object.keys(resolve(response).content ?? {})))];
  if (accepted.length > 1) part.form.append(choice('accept', 'Answer as', accepted));
  if (body) {
    const types = Object.keys(body.content);
    const textarea = element('textarea', { id: `${id}-body`, name: 'body', rows: 6, spellcheck: false });
    const type = choice('type', 'Body as', types);
    const fill = () => { textarea.value = samples(body.content[type.querySelector('select').value])[0][1]; };
    type.addEventListener('change', fill);
    part.form.append(type, element('div', { className: 'field wide' }, element('label', { htmlFor: `${id}-body`, textContent: 'Body' }), textarea));
    fill();
  }
  const send = element('button', { className: 'primary', textContent: `Send ${method}` });
  const stop = element('button', { type: 'button', textContent: 'Stop', hidden: true });
  part.form.append(element('div', { className: 'buttons' }, send, stop));

  part.form.addEventListener('submit', async event => {
    event.preventDefault();
    const fields = part.form.elements;
    const query = new URLSearchParams();
    const headers = {};
    let address = path;
    for (const parameter of parameters) {
      const { value } = fields[`parameter:${parameter.name}`];
      if (parameter.in === 'path') address = address.replace(`{${parameter.name}}`, encodeURIComponent(value));
      else if (value === '') continue;
      else if (parameter.in === 'query') query.append(parameter.name, value);
      else headers[parameter.name] = value;
    }
    const token = document.getElementById('token').value.trim();
    if (token) headers.Authorization = `Bearer ${token}`;
    headers.Accept = fields.accept?.value ?? accepted[0] ?? '*/*';
    if (body) headers['Content-Type'] = fields.type.value;

    const cancel = new AbortController();
    stop.onclick = () => cancel.abort();
    stop.hidden = false;
    send.disabled = true;
    part.result.hidden = false;
    part.result.replaceChildren(element('p', { className: 'hush', textContent: 'Waiting…' }));
    const begun = performance.now();
    try {
      const response = await fetch(`${address}${query.size ? `?${query}` : ''}`, { method, headers, body: body && fields.body.value, cache: 'no-store', signal: cancel.signal });
      const text = element('code');
      const shown = ['content-type', 'etag', 'location', 'retry-after', 'ratelimit', 'cache-control']
        .filter(name => response.headers.has(name)).map(name => `${name}: ${response.headers.get(name)}`).join('\n');
      part.result.replaceChildren(
        element('p', {}, element('span', { className: 'status', textContent: response.status, dataset: { class: String(response.status)[0] } }),
          `${response.statusText} in ${Math.round(performance.now() - begun)} ms`),
        element('pre', { tabIndex: 0, role: 'group', ariaLabel: `${id}: headers of the answer` }, element('code', { textContent: shown })),
        element('pre', { tabIndex: 0, role: 'group', ariaLabel: `${id}: body of the answer` }, text));
      for await (const piece of chunks(response.body)) text.textContent = (text.textContent + piece).slice(-100_000);
      if (response.headers.get('content-type')?.includes('json')) text.textContent = indent(text.textContent);
      if (!text.textContent) text.parentElement.remove();
    } catch (problem) {
      if (problem.name !== 'AbortError') part.result.replaceChildren(element('p', { className: 'note error', textContent: 'No answer. Check that the service is running and that the address is correct.' }));
    } finally {
      stop.hidden = true;
      send.disabled = false;
    }
  });
}

async function* chunks(body) {
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let read; reader && !(read = await reader.read()).done;) yield read.value;
}

/** Indents JSON without parsing its numbers, because a Number would round a long integer. */
function indent(json) {
  try {
    const kept = json.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}/g, token => token[0] === '"' ? token : `"\uE000${token}"`);
    return JSON.stringify(JSON.parse(kept), null, 2).replace(/"\uE000(-?\d+)"/g, '$1');
  } catch {
    return json;
  }
}

function show() {
  const main = document.getElementById('main');
  const contents = document.getElementById('contents');
  document.title = `${api.info.title} · API reference`;
  document.getElementById('name').textContent = api.info.title;

  const [intro, part] = make('intro');
  part.title.textContent = `${api.info.title} API`;
  part.description.append(...prose(api.info.description));
  part.sessionHint.textContent = 'Without a token, requests use the session of this browser, if there is one.';
  part.tokenForm.addEventListener('submit', event => event.preventDefault());
  main.replaceChildren(intro);

  const operations = Object.entries(api.paths).flatMap(([path, item]) => Object.entries(item)
    .filter(([method]) => method !== 'parameters')
    .map(([method, operation]) => ({ path, method: method.toUpperCase(), shared: item.parameters ?? [], ...operation })));

  for (const tag of api.tags) {
    main.append(element('h2', { textContent: tag.name }), ...prose(tag.description));
    const links = element('ul');
    links.role = 'list';
    contents.append(element('h2', { textContent: tag.name }), links);
    for (const operation of operations.filter(one => one.tags[0] === tag.name)) {
      const { operationId: id, method, path } = operation;
      const parameters = [...operation.shared, ...(operation.parameters ?? [])].map(resolve);
      const body = resolve(operation.requestBody);
      const [article, part] = make('operation');
      article.id = id;
      part.summary.textContent = operation.summary;
      part.method.textContent = method;
      part.method.dataset.method = method;
      part.path.textContent = path;
      part.security.textContent = describeSecurity(operation.security);
      part.description.append(...prose(operation.description));
      part.input.append(...describeInput(parameters, body, `${method} ${path}`));
      part.answers.append(...describeAnswers(operation.responses, `${method} ${path}`));
      tryOut(part, id, method, path, parameters, body, operation.responses);
      main.append(article);
      links.append(element('li', {}, element('a', { href: `#${id}` },
        element('span', { className: 'method', textContent: method, dataset: { method } }), element('span', {}, ...path.split(/(?=\/)/).flatMap(step => [element('wbr'), step])))));
    }
  }
  main.append(element('h2', { textContent: 'Errors' }), describeErrors());
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

try {
  const response = await fetch('/openapi/v1.json');
  if (!response.ok) throw new Error(String(response.status));
  // Limits such as 2^63-1 become text, because a Number would round them.
  api = JSON.parse((await response.text()).replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}/g, token => token[0] === '"' ? token : `"${token}"`));
  show();
} catch (problem) {
  console.error(problem);
  const loading = document.getElementById('loading') ?? document.getElementById('main');
  loading.className = 'note error';
  loading.textContent = 'The description of the API could not be loaded. Load the page again in a moment.';
}
