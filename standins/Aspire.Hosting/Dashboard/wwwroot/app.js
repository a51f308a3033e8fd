import { chartsView } from "./charts.js";
import { logsView } from "./logs.js";
import { resourcesView } from "./resources.js";
import { traceView, tracesView } from "./traces.js";

const views = {
  resources: resourcesView,
  logs: logsView,
  traces: id => id ? traceView(id) : tracesView(),
  charts: chartsView,
};

let takeDown = () => {};

function route() {
  const [, place = "resources", id] = location.hash.split("/");
  const name = place in views ? place : "resources";
  takeDown();
  takeDown = views[name](id && decodeURIComponent(id));
  for (const tab of document.querySelectorAll(".tabs a")) {
    if (tab.hash === `#/${name}`) tab.setAttribute("aria-current", "page"); else tab.removeAttribute("aria-current");
  }
  document.title = `${name[0].toUpperCase()}${name.slice(1)} · Increment`;
}

addEventListener("hashchange", () => {
  route();
  document.getElementById("main").focus({ preventScroll: true });
  scrollTo(0, 0);
});
route();
