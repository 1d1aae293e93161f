// The service graph, and one entity with its signals, errors and changes.
import { el, svg, mark, badge, minute, clock, entity, count, table } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { layout } from "/assets/layout.js";
import { picture } from "/assets/evidence.js";

const WORST = { critical: 3, warning: 2, info: 1 };
const link = (name) => `#/services/${encodeURIComponent(name)}`;

/** Of each entity the worst severity that fires. */
function health(firing) {
  const worst = new Map();
  for (const f of firing) if ((WORST[f.severity] || 0) > (WORST[worst.get(f.entity)] || 0)) worst.set(f.entity, f.severity);
  return worst;
}

/** Names with how often each fires, most often first. */
function counted(names) {
  const n = new Map();
  for (const name of names) n.set(name, (n.get(name) || 0) + 1);
  const all = [...n].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  const shown = all.slice(0, 4).map(([name, times]) => (times > 1 ? `${name} (${count(times)})` : name));
  return all.length > 4 ? `${shown.join(", ")} and ${all.length - 4} more` : shown.join(", ");
}

const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function drawing(found, worst) {
  const calls = found.edges.filter((e) => e.kind === "calls");
  if (!calls.length) return null;
  const { places, width, height, box } = layout(calls.map((e) => [e.from, e.to]));
  const stats = new Map(found.calls.map((c) => [`${c.from} ${c.to}`, c]));
  const lines = calls.map((e) => {
    const [a, b] = [places.get(e.from), places.get(e.to)];
    const [x1, y1, x2, y2] = [a.x + box.width, a.y + box.height / 2, b.x, b.y + box.height / 2];
    const bend = Math.max(24, Math.abs(x2 - x1) / 2);
    const s = stats.get(`${e.from} ${e.to}`);
    const failing = s && s.n_failed / s.n > 0.02;
    const said = s ? `${entity(e.from)} → ${entity(e.to)}: ${count(s.n)} calls in the last hour, ${count(s.n_failed)} failed, mean ${Math.round(s.mean_ms)} ms` : `${entity(e.from)} → ${entity(e.to)}`;
    return svg("path", { class: failing ? "edge failing" : "edge", d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` }, svg("title", {}, said));
  });
  const nodes = [...places].map(([name, p]) => {
    const state = worst.get(name) || "well";
    return svg("a", { href: link(name), "aria-label": `${entity(name)}: ${state}` }, svg("g", { class: `node ${state}`, transform: `translate(${p.x} ${p.y})` },
      svg("rect", { width: box.width, height: box.height, rx: 7 }), svg("circle", { cx: 14, cy: box.height / 2, r: 5 }),
      svg("text", { x: 26, y: box.height / 2 + 4 }, short(entity(name), 16)), svg("title", {}, `${name}: ${state}`)));
  });
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Service graph" },
    svg("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Who calls whom" }, lines, nodes));
}

async function overview() {
  const found = await api("/services");
  const worst = health(found.firing);
  const names = [...new Set([...found.series.map((s) => s.entity), ...found.edges.flatMap((e) => [e.from, e.to])])];
  const rank = (n) => WORST[worst.get(n)] || 0;
  names.sort((a, b) => rank(b) - rank(a) || a.localeCompare(b));
  const named = (list) => list.map(entity).join(", ");
  const rows = names.map((n) => [el("span", { class: "name" }, mark(worst.get(n) || "over"), el("a", { href: link(n) }, entity(n))), n.split("=")[0],
    named(found.edges.filter((e) => e.from === n && e.kind === "calls").map((e) => e.to)),
    named(found.edges.filter((e) => e.to === n && e.kind === "calls").map((e) => e.from)),
    named(found.edges.filter((e) => e.from === n && e.kind === "runs_on").map((e) => e.to)),
    String(found.series.filter((s) => s.entity === n).length), [found.blind.some((b) => b.entity === n) ? "Blind" : "", counted(found.firing.filter((f) => f.entity === n).map((f) => f.name))].filter(Boolean).join(", ")]);
  return { title: "Services", nodes: [el("div", { class: "head" }, el("div", {}, el("h1", {}, "Services"),
    el("p", { class: "soft" }, "Learned from spans and declared in configuration; callers stand left of what they call. Red lines are calls that fail."))),
  drawing(found, worst), table("Entities", ["Entity", "Kind", "Calls", "Called by", "Runs on", "Series", "Firing"], rows, "Nothing is known yet.")] };
}

// A picture is asked for again once a minute of event time.
const signal = (s, now) => el("figure", { "data-key": s.id },
  picture(`/api/v1/series/${s.id}/chart.svg`, `${s.metric} of ${entity(s.entity)} over the last three hours`, minute(now)));

async function one(name) {
  const of = encodeURIComponent(name);
  const [{ series }, { lines }, { changes }, { firing, edges, blind }, { now }] = await Promise.all([
    api(`/series?entity=${of}`), api(`/logs?entity=${of}&level=warn&limit=30`), api(`/changes?entity=${of}&limit=20`), api("/services"), api("/status")]);
  const own = firing.filter((f) => f.entity === name);
  const unseen = blind.find((b) => b.entity === name);
  const near = (from, to) => edges.filter((e) => e[from] === name).map((e) => el("a", { href: link(e[to]) }, entity(e[to])));
  const listed = (label, links) => (links.length ? [el("dt", {}, label), el("dd", {}, links.flatMap((l, i) => (i ? [", ", l] : [l])))] : []);
  return { title: entity(name), nodes: [el("p", {}, el("a", { href: "#/services" }, "‹ All services")),
    el("section", { class: "panel" }, el("h1", {}, entity(name)), el("p", { class: "soft" }, name),
      own.length ? el("p", {}, own.length > 12 ? counted(own.map((f) => f.name)) : own.map((f) => [badge(f.severity, f.severity), " ", el("a", { href: `#/why/${f.alert}` }, f.name), " "])) : unseen ? null : el("p", {}, "Nothing fires."),
      unseen ? el("p", { class: "blind" }, badge("blind", "warning"), ` since ${minute(unseen.since)} UTC: ${unseen.why} Whether it is well can't be told.`) : null,
      el("dl", {}, listed("Calls and runs on", near("from", "to")), listed("Called by and carries", near("to", "from")))),
    series.length ? el("section", { class: "grid", "aria-label": "Signals" }, series.slice(0, 12).map((s) => signal(s, now))) : el("p", { class: "empty" }, "No series is kept of it."),
    el("section", { class: "panel wide" }, el("h1", {}, "Changes"), table("Changes", ["When (UTC)", "Kind", "Change", "Author"],
      changes.map((c) => [minute(c.at), badge(c.kind.replace("_", " ")), c.title, c.author || ""]), "No change was told.")),
    el("section", { class: "panel wide" }, el("h1", {}, "Warnings and errors in its log"), table("Log lines", ["When (UTC)", "Level", "Line"],
      lines.map((l) => [clock(l.at), l.level, el("code", {}, l.body)]), "None."))] };
}

export const page = (name) => (name ? one(name) : overview());
