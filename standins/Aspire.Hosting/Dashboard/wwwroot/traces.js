import { chip, clock, colour, duration, element, get, options, show } from "./dom.js";
import { changes, resources } from "./resources.js";

/** The newest traces, by service, text and outcome. */
export function tracesView() {
  const find = show("traces-view");
  const fill = () => options(find("trace-service"), [["", "all"], ...[...new Set([...resources.values()].map(resource => resource.id.replace(/-[a-z]{8}$/, "")))].map(name => [name, name])]);
  fill();
  changes.addEventListener("change", fill);

  let timer;
  let turn = 0;
  const refresh = async () => {
    clearTimeout(timer);
    const mine = ++turn;
    const query = new URLSearchParams({
      text: find("trace-text").value.trim(), service: find("trace-service").value,
      errors: find("trace-errors").checked, probes: find("trace-probes").checked,
    });
    const response = document.hidden ? null : await get(`api/traces?${query}`);
    if (mine !== turn) return;
    if (response?.ok) {
      const { traces, dropped, untraced } = await response.json();
      if (mine !== turn) return;
      const focused = document.activeElement?.hash;
      find("traces").replaceChildren(...traces.map(trace => element("tr", {},
        element("td", { textContent: clock(trace.start, true) }),
        element("td", {}, element("a", { href: `#/traces/${trace.id}`, textContent: `${trace.service}: ${trace.name}` }), trace.isError ? element("span", { className: "failed", textContent: " failed" }) : null),
        element("td", {}, element("span", { className: "chips" }, ...trace.services.map(chip))),
        element("td", { className: "number", textContent: trace.spanCount }),
        element("td", { className: "number", textContent: duration(trace.duration) }))));
      if (focused?.startsWith("#/traces/")) document.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
      find("traces-empty").hidden = traces.length > 0;
      find("traces-empty").textContent = ["text", "service", "errors"].some(name => !["", "false"].includes(query.get(name)))
        ? "No trace matches." : "No traces yet. They come with the first request.";
      find("trace-count").textContent = [
        traces.length === 200 ? "The newest 200 traces" : traces.length === 1 ? "1 trace" : `${traces.length} traces`,
        dropped && `${dropped.toLocaleString("en")} older spans are no longer kept`,
        untraced && `about ${untraced.toLocaleString("en")} requests have no trace, as a service sends at most 1,000 spans a second`,
      ].filter(Boolean).join("; ");
    }
    timer = setTimeout(refresh, 2000);
  };
  find("trace-filter").addEventListener("submit", event => event.preventDefault());
  find("trace-filter").addEventListener("input", refresh);
  refresh();
  return () => {
    turn++;
    clearTimeout(timer);
    changes.removeEventListener("change", fill);
  };
}

/** One trace as a waterfall. */
export function traceView(id) {
  const find = show("trace-view");
  let isOver = false;
  (async () => {
    const response = await get(`api/traces/${encodeURIComponent(id)}`);
    if (isOver) return;
    if (!response?.ok) {
      find("trace-title").textContent = "Trace not found";
      find("trace-facts").textContent = "It has not come yet, or is no longer kept.";
      return;
    }
    const trace = await response.json();
    if (isOver) return;
    const services = [...new Set(trace.spans.map(span => span.service))];
    find("trace-title").textContent = `${trace.spans[0].service}: ${trace.spans[0].name}`;
    find("trace-facts").replaceChildren(`${clock(trace.start, true)} · ${duration(trace.duration)} · ${trace.spans.length === 1 ? "1 span" : `${trace.spans.length} spans`} · ${id} · `, element("span", { className: "chips" }, ...services.map(chip)));
    find("waterfall-axis").replaceChildren(...[0, 0.5, 1].map(part => element("span", { textContent: part ? duration(part * trace.duration) : "0" })));
    find("waterfall").replaceChildren(...ordered(trace.spans).map(span => row(span, trace.duration)));
    find("waterfall-card").hidden = false;
    find("trace-logs-section").hidden = trace.logs.length === 0;
    find("trace-logs").replaceChildren(...trace.logs.map(log => element("tr", {},
      element("td", { className: "number", textContent: duration(log.at) }), element("td", { textContent: log.level }),
      element("td", {}, chip(log.service)), element("td", { textContent: log.message, title: log.category }))));
  })();
  return () => { isOver = true; };
}

/** Parents before their children, with how deep each is; what has lost its parent stands at the top. */
function ordered(spans) {
  const ids = new Set(spans.map(span => span.id));
  const below = (parent, depth) => spans.filter(span => ids.has(span.parentId) ? span.parentId === parent : parent === "")
    .flatMap(span => [{ ...span, depth }, ...below(span.id, depth + 1)]);
  return below("", 0);
}

function row(span, whole) {
  const [from, part] = whole > 0 ? [span.start / whole, span.duration / whole] : [0, 1];
  const track = element("div", { className: `track${part > 0.85 ? " whole" : from + part > 0.75 ? " late" : ""}`, style: { "--from": from, "--part": part, "--service": colour(span.service) } },
    element("i"), element("span", { textContent: duration(span.duration) }));
  const facts = [["service", `${span.service} (${span.instance})`], ["kind", span.kind], ["source", span.scope], ...span.attributes.map(({ key, value }) => [key, value])];
  return element("li", {}, element("details", {},
    element("summary", {},
      element("div", { className: "span-name", style: { "--depth": Math.min(span.depth, 12) } },
        element("span", { className: span.isError ? "failed" : "", textContent: span.isError ? `${span.name} (failed)` : span.name }), chip(span.service)),
      track),
    element("dl", { className: "attributes" }, ...facts.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]))));
}
