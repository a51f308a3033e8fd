import { element, get, show } from "./dom.js";

/** All resources by id, kept up by one stream of events. */
export const resources = new Map();
export const changes = new EventTarget();

const connection = document.getElementById("connection");
const stream = new EventSource("api/resources");
const connect = (state, words) => {
  connection.dataset.state = state;
  connection.textContent = words;
};
stream.onopen = () => connect("open", "Live");
stream.onerror = () => connect("lost", "The AppHost does not answer");
stream.addEventListener("resource", event => {
  const resource = JSON.parse(event.data);
  resources.set(resource.id, resource);
  changes.dispatchEvent(new CustomEvent("change", { detail: resource }));
});

function stateOf(resource) {
  if (resource.state === "Running" && resource.health && resource.health !== "Healthy") return `Running (${resource.health})`;
  if (resource.state === "Finished" && resource.exitCode !== null) return `Finished (exit code ${resource.exitCode})`;
  return resource.state;
}

function toneOf(resource) {
  if (resource.state === "Running") return resource.health === "Healthy" ? "good" : "warn";
  if (["FailedToStart", "ValueMissing", "RuntimeUnhealthy"].includes(resource.state)) return "bad";
  if (resource.state === "Finished") return resource.exitCode ? "bad" : "quiet";
  return "quiet";
}

/** The resources, with what can be done to them. */
export function resourcesView() {
  const find = show("resources-view");
  let chosen = null;

  const command = async (resource, name) => {
    const message = find("message");
    message.hidden = true;
    const response = await get(`api/resources/${encodeURIComponent(resource.id)}/${name}`, { method: "POST" });
    if (response?.ok) return;
    message.textContent = response ? await response.text() || `The dashboard answered ${response.status}.` : "The dashboard does not answer.";
    message.hidden = false;
  };

  const choose = resource => {
    const before = resources.get(chosen);
    chosen = resource.id;
    if (before) render(before);
    render(resource);
    find("details").hidden = false;
    find("details-title").textContent = resource.displayName;
    find("details-logs").href = `#/logs/${encodeURIComponent(resource.id)}`;
    find("environment").replaceChildren(...resource.environment.map(({ name, value }) => element("tr", {},
      element("th", { scope: "row", textContent: name }),
      element("td", value === null ? { className: "secret", textContent: "•••••• (secret)" } : { textContent: value }))));
  };

  const render = resource => {
    const focused = document.activeElement?.dataset?.key;
    const row = element("tr", { id: `row-${resource.id}`, className: resource.id === chosen ? "chosen" : "" });
    const open = element("button", { className: "link", textContent: resource.displayName, onclick: () => choose(resources.get(resource.id)), data: { key: `${resource.id}/open` } });
    const reasons = resource.checks.filter(check => resource.state === "Running" && check.status && check.status !== "Healthy")
      .map(check => element("div", { className: "reason", textContent: check.description }));
    const buttons = resource.commands.map(({ name, displayName, enabled }) => element("button", {
      textContent: displayName, disabled: !enabled, ariaLabel: `${displayName} ${resource.displayName}`,
      onclick: () => command(resource, name), data: { key: `${resource.id}/${name}` },
    }));
    row.append(
      element("th", { scope: "row" }, open, resource.type === "Project" ? null : element("span", { className: "reason", textContent: ` ${resource.type.toLowerCase()}` })),
      element("td", {}, element("span", { className: `state ${toneOf(resource)}`, textContent: stateOf(resource) }), ...reasons),
      element("td", { textContent: resource.started ? new Date(resource.started).toLocaleTimeString("en-GB") : "" }),
      element("td", { className: "number", textContent: resource.starts ? resource.starts - 1 : "" }),
      element("td", {}, ...resource.urls.map(({ url }) => element("div", {}, element("a", { href: url, target: "_blank", rel: "noreferrer", textContent: url })))),
      element("td", { className: "commands" }, ...buttons));
    const old = document.getElementById(row.id);
    if (old) old.replaceWith(row);
    else find("resources").insertBefore(row, [...find("resources").children].find(other => other.id > row.id) ?? null);
    if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  };

  const onChange = event => render(event.detail);
  for (const resource of resources.values()) render(resource);
  changes.addEventListener("change", onChange);
  return () => changes.removeEventListener("change", onChange);
}
