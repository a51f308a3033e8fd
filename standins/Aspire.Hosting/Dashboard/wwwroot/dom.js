/** An element with these properties and children; `data` and `style` are objects. */
export function element(name, properties = {}, ...children) {
  const { data = {}, style = {}, ...others } = properties;
  const made = Object.assign(document.createElement(name), others);
  Object.assign(made.dataset, data);
  for (const [property, value] of Object.entries(style)) made.style.setProperty(property, value);
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

/** Shows a template's view in the page, and returns its elements by id. */
export function show(template) {
  const main = document.getElementById("main");
  main.replaceChildren(document.getElementById(template).content.cloneNode(true));
  return id => document.getElementById(id);
}

/** A duration in milliseconds as people read it. */
export function duration(ms) {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(2) : ms.toFixed(1)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}

export const clock = (ms, fractions) => new Date(ms).toLocaleTimeString("en-GB", fractions && { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

const services = [];

/** The colour of a service, the same wherever it is shown. */
export function colour(service) {
  if (!services.includes(service)) services.push(service);
  return `var(--service-${services.indexOf(service) % 4})`;
}

export const chip = service => element("span", { className: "chip", textContent: service, style: { "--service": colour(service) } });

/** Fills a select with values, keeping what is chosen. */
export function options(select, values) {
  const chosen = select.value;
  select.replaceChildren(...values.map(([value, label]) => element("option", { value, textContent: label })));
  if (values.some(([value]) => value === chosen)) select.value = chosen;
}

/** Calls the dashboard; null when it does not answer. */
export async function get(address, init) {
  try {
    return await fetch(address, init);
  } catch {
    return null;
  }
}
