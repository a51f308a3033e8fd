// One stream of events tells how the resources are; the chosen one's console log is a second.
const resources = new Map();
const rows = document.getElementById("resources");
const log = document.getElementById("log");
const maxLines = 10_000;
let chosen = null;
let logStream = null;

function element(name, properties = {}, ...children) {
  const result = Object.assign(document.createElement(name), properties);
  result.append(...children);
  return result;
}

function stateOf(resource) {
  if (resource.state === "Running" && resource.health && resource.health !== "Healthy") return `Running (${resource.health})`;
  if (resource.state === "Finished" && resource.exitCode !== null) return `Finished (exit code ${resource.exitCode})`;
  return resource.state;
}

function toneOf(resource) {
  if (resource.state === "Running") return resource.health === "Healthy" ? "good" : "warn";
  if (resource.state === "FailedToStart" || resource.state === "ValueMissing" || resource.state === "RuntimeUnhealthy") return "bad";
  if (resource.state === "Finished") return resource.exitCode ? "bad" : "quiet";
  return "quiet";
}

async function command(resource, name) {
  const message = document.getElementById("message");
  message.textContent = "";
  const response = await fetch(`api/resources/${encodeURIComponent(resource.id)}/${name}`, { method: "POST" }).catch(() => null);
  if (!response?.ok) message.textContent = response ? await response.text() || `The dashboard answered ${response.status}.` : "The dashboard does not answer.";
}

function render(resource) {
  const focused = document.activeElement?.dataset?.key;
  const row = element("tr", { id: `row-${resource.id}` });
  row.classList.toggle("chosen", resource.id === chosen);

  const open = element("button", { className: "link", textContent: resource.displayName, onclick: () => choose(resource.id) });
  open.dataset.key = `${resource.id}/open`;
  const state = element("span", { className: `state ${toneOf(resource)}`, textContent: stateOf(resource) });
  const reasons = resource.checks.filter(check => check.status && check.status !== "Healthy")
    .map(check => element("div", { className: "reason", textContent: check.description }));
  const links = resource.urls.map(url => element("div", {}, element("a", { href: url.url, target: "_blank", rel: "noreferrer", textContent: url.url })));
  const buttons = resource.commands.map(c => {
    const button = element("button", { textContent: c.displayName, disabled: !c.enabled, onclick: () => command(resource, c.name) });
    button.setAttribute("aria-label", `${c.displayName} ${resource.displayName}`);
    button.dataset.key = `${resource.id}/${c.name}`;
    return button;
  });
  row.append(
    element("th", { scope: "row" }, open),
    element("td", {}, state, ...reasons),
    element("td", { textContent: resource.started ? new Date(resource.started).toLocaleTimeString() : "" }),
    element("td", {}, ...links),
    element("td", { className: "commands" }, ...buttons));

  const old = document.getElementById(row.id);
  if (old) old.replaceWith(row);
  else rows.insertBefore(row, [...rows.children].find(other => other.id > row.id) ?? null);
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function renderEnvironment(resource) {
  document.getElementById("environment").replaceChildren(...resource.environment.map(variable => element("tr", {},
    element("th", { scope: "row", textContent: variable.name }),
    element("td", variable.value === null ? { className: "quiet", textContent: "•••••• (secret)" } : { textContent: variable.value }))));
}

function choose(id) {
  const before = chosen;
  chosen = id;
  for (const other of [before, id]) if (resources.has(other)) render(resources.get(other));
  document.getElementById("details").hidden = false;
  document.getElementById("details-title").textContent = resources.get(id).displayName;
  renderEnvironment(resources.get(id));
  follow(id);
}

function follow(id) {
  logStream?.close();
  let last = 0;
  log.replaceChildren();
  logStream = new EventSource(`api/resources/${encodeURIComponent(id)}/log`);
  logStream.addEventListener("lines", event => {
    // After a lost connection the stream begins anew.
    const lines = JSON.parse(event.data).filter(line => line.lineNumber > last);
    if (lines.length === 0) return;
    last = lines.at(-1).lineNumber;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(...lines.map(line => element("div", { className: line.isErrorMessage ? "error" : "" }, ...coloured(line.content))));
    while (log.childElementCount > maxLines) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  });
}

// Console colours (ECMA-48 "select graphic rendition"), as far as .NET's console logger uses them.
function coloured(text) {
  const parts = [];
  let colour = "";
  for (const [, codes, plain] of `\x1b[m${text}`.matchAll(/\x1b\[([\d;]*)m([^\x1b]*)/g)) {
    for (const code of codes.split(";")) {
      if (code === "" || code === "0" || code === "39") colour = "";
      else if (/^(3|9)[0-7]$/.test(code)) colour = `colour-${code.at(-1)}`;
    }
    if (plain) parts.push(colour ? element("span", { className: colour, textContent: plain }) : plain);
  }
  return parts;
}

const stream = new EventSource("api/resources");
const connection = document.getElementById("connection");
stream.onopen = () => connection.textContent = "Live";
stream.onerror = () => connection.textContent = "The AppHost does not answer. Waiting for it…";
stream.addEventListener("resource", event => {
  const resource = JSON.parse(event.data);
  resources.set(resource.id, resource);
  render(resource);
  if (resource.id === chosen) renderEnvironment(resource);
});
