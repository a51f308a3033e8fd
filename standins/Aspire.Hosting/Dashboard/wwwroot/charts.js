import { chip, colour, duration, element, show } from "./dom.js";

const number = value => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
const metrics = [
  { key: "requests", title: "Requests per second", sum: true, format: number },
  { key: "p99", title: "Response time (p99)", sum: false, format: seconds => duration(seconds * 1000) },
  { key: "errors", title: "Errors per second", sum: true, format: number },
  { key: "integers", title: "Integers per second", sum: true, format: number },
];

/** An element of a drawing with these attributes. */
function drawn(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Four live charts, a line for each service. */
export function chartsView() {
  const find = show("charts-view");
  const span = find("chart-span");
  /** Service, then second, then point. */
  const services = new Map();

  const figures = metrics.map(metric => {
    const now = element("p", { className: "now", textContent: "–" });
    const top = element("span");
    const svg = drawn("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img" });
    const from = element("span");
    find("charts").append(element("section", { className: "card chart", ariaLabel: metric.title },
      element("div", { className: "row" }, element("h2", { textContent: metric.title }), now),
      element("div", { className: "axis" }, top), svg, element("div", { className: "axis" }, from, element("span", { textContent: "now" }))));
    return { ...metric, now, top, svg, from };
  });

  const draw = () => {
    const last = Math.floor(Date.now() / 1000) - 3;
    const width = Number(span.value);
    const first = last - width;
    for (const figure of figures) {
      const values = (points, second) => points.get(second)?.[figure.key] ?? (figure.sum ? 0 : null);
      const all = [...services.values()].flatMap(points => Array.from({ length: width + 1 }, (_, i) => values(points, first + i) ?? 0));
      const most = Math.max(...all, figure.sum ? 1 : 0.001);
      figure.svg.replaceChildren(
        drawn("line", { x1: 0, y1: 100, x2: 100, y2: 100 }), drawn("line", { x1: 0, y1: 0, x2: 100, y2: 0 }),
        ...[...services].map(([service, points]) => {
          let line = "";
          let pen = "M";
          for (let second = first; second <= last; second++) {
            const value = values(points, second);
            if (value === null) {
              pen = "M";
              continue;
            }
            line += `${pen}${((second - first) / width * 100).toFixed(2)} ${(100 - value / most * 100).toFixed(2)}`;
            pen = "L";
          }
          const path = drawn("path", { d: line || "M0 100" });
          path.style.setProperty("--service", colour(service));
          return path;
        }));
      const latest = [...services].map(([service, points]) => [service, values(points, last)]).filter(([, value]) => value !== null);
      const now = latest.length === 0 ? null : figure.sum ? latest.reduce((sum, [, value]) => sum + value, 0) : Math.max(...latest.map(([, value]) => value));
      figure.now.textContent = now === null ? "–" : figure.format(now);
      figure.top.textContent = figure.format(most);
      figure.from.textContent = width === 60 ? "1 minute ago" : `${width / 60} minutes ago`;
      figure.svg.setAttribute("aria-label", `${figure.title} now: ${latest.map(([service, value]) => `${service} ${figure.format(value)}`).join(", ") || "nothing"}`);
    }
    find("charts-empty").hidden = services.size > 0;
  };

  const stream = new EventSource("api/rates");
  stream.addEventListener("rates", event => {
    for (const point of JSON.parse(event.data)) {
      if (!services.has(point.service)) {
        services.set(point.service, new Map());
        find("legend").append(element("li", {}, chip(point.service)));
      }
      services.get(point.service).set(point.second, point);
    }
    const oldest = Date.now() / 1000 - 700;
    for (const points of services.values()) for (const second of points.keys()) if (second < oldest) points.delete(second); else break;
    draw();
  });
  span.addEventListener("change", draw);
  draw();
  return () => stream.close();
}
