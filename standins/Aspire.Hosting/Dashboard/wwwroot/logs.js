import { element, options, show } from "./dom.js";
import { changes, resources } from "./resources.js";

const maxLines = 10_000;
const levels = { trce: 0, dbug: 1, info: 2, warn: 3, fail: 4, crit: 4 };
const names = ["trace", "debug", "information", "warning", "error"];

/** The console log of a resource, live, by level and text. */
export function logsView(id) {
  const find = show("logs-view");
  const [select, level, text, log] = ["log-resource", "log-level", "log-text", "log"].map(find);
  let lines = [];
  let stream;

  const fill = () => {
    const known = [...resources.values()].filter(resource => resource.type === "Project").sort((a, b) => a.id < b.id ? -1 : 1);
    options(select, known.map(resource => [resource.id, resource.displayName]));
  };
  fill();
  if (id && resources.has(id)) select.value = id;

  let wanted = "";
  const isShown = line => line.level >= Number(level.value) && line.text.toLowerCase().includes(wanted);

  const made = line => {
    const at = wanted ? line.text.toLowerCase().indexOf(wanted) : -1;
    return element("div", { className: `level-${line.level}` },
      element("time", { textContent: `${line.time} ` }),
      ...(at < 0 ? [line.text] : [line.text.slice(0, at), element("mark", { textContent: line.text.slice(at, at + wanted.length) }), line.text.slice(at + wanted.length)]));
  };

  const count = () => {
    const [shown, all] = [log.childElementCount, lines.length].map(number => number.toLocaleString("en"));
    find("log-count").textContent = !lines.length ? "No lines yet." : !log.childElementCount ? `No line of ${all} matches.` : `${shown} of ${all} lines`;
  };

  const showAll = () => {
    log.replaceChildren(...lines.filter(isShown).map(made));
    log.scrollTop = log.scrollHeight;
    count();
  };

  const follow = () => {
    stream?.close();
    lines = [];
    showAll();
    if (!select.value) return;
    let last = 0;
    let current = 2;
    stream = new EventSource(`api/resources/${encodeURIComponent(select.value)}/log`);
    stream.addEventListener("lines", event => {
      // After a lost connection the stream begins anew.
      const fresh = JSON.parse(event.data).filter(line => line.lineNumber > last).map(line => {
        const [, time = "", rest] = /^(\d{4}-\S+Z) ?([^]*)$/.exec(line.content) ?? [undefined, "", line.content];
        const plain = rest.replace(/\x1b\[[\d;]*m/g, "");
        // A line of the console logger names its level; what follows, indented, belongs to it.
        const named = /^(trce|dbug|info|warn|fail|crit): /.exec(plain);
        if (named) current = levels[named[1]];
        else if (!/^\s/.test(plain)) current = line.isErrorMessage ? 4 : 2;
        return { number: line.lineNumber, time: time.slice(11, 23), text: plain, level: line.isErrorMessage ? 4 : current };
      });
      if (!fresh.length) return;
      last = fresh.at(-1).number;
      lines.push(...fresh);
      const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      log.append(...fresh.filter(isShown).map(made));
      if (lines.length > maxLines) {
        lines = lines.slice(-maxLines);
        while (log.childElementCount > maxLines) log.firstElementChild.remove();
      }
      if (atEnd) log.scrollTop = log.scrollHeight;
      count();
    });
  };

  find("log-filter").addEventListener("submit", event => event.preventDefault());
  select.addEventListener("change", follow);
  level.addEventListener("change", showAll);
  text.addEventListener("input", () => {
    wanted = text.value.trim().toLowerCase();
    showAll();
  });
  find("log-download").addEventListener("click", () => {
    const shown = lines.filter(isShown).map(line => `${line.time} ${names[line.level].padEnd(11)} ${line.text}\n`);
    const link = element("a", { href: URL.createObjectURL(new Blob(shown, { type: "text/plain" })), download: `${select.value}.log` });
    link.click();
    URL.revokeObjectURL(link.href);
  });

  const onChange = event => {
    if (event.detail.type !== "Project" || [...select.options].some(option => option.value === event.detail.id)) return;
    const before = select.value;
    fill();
    if (id && !before) select.value = id;
    if (select.value !== before) follow();
  };
  changes.addEventListener("change", onChange);
  follow();
  return () => {
    stream?.close();
    changes.removeEventListener("change", onChange);
  };
}
