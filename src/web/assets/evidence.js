// Evidence: its picture, its citations, and one piece of it in full.
import { el, svg, clock, minute, entity, count, table } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { show, toast } from "/assets/form.js";

/** The theme that is shown now. */
export function theme() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** The chart of metric evidence. `version` changes when it has to be read again. */
export const chart = (id, alt, version = "") => picture(`/api/v1/evidence/${id}/chart.svg`, alt, version);

/** A chart in a frame that scrolls on narrow screens, where its words would get too small. */
export const picture = (path, alt, version) => el("div", { class: "frame" }, el("img", {
  class: "chart", alt, width: "860", height: "300", loading: "lazy",
  src: `${path}${path.includes("?") ? "&" : "?"}theme=${theme()}&v=${encodeURIComponent(version)}`,
}));

/** A citation that opens its evidence. */
export const cite = (n, id) => el("button", {
  type: "button", class: "cite", "aria-label": `Evidence ${n}`, onclick: () => open(id),
}, `[${n}]`);

export const cites = (ids) => (ids || []).map((id, i) => cite(i + 1, id));

const lines = (logs) => table("Log lines", ["When", "Level", "What wrote it", "Line"],
  logs.map((l) => [clock(l.at), l.level, entity(l.entity), el("code", {}, l.body)]), "No lines.");

function finding(e) {
  const f = e.finding;
  const change = f.change;
  switch (f.kind) {
    case "metric": return [chart(e.id, e.summary, e.at)];
    case "logs": return [
      el("p", {}, `${count(f.n)} lines in the window, ${count(f.n_before)} in an equally long one before.`),
      el("pre", {}, f.template), lines(f.examples)];
    case "edge": return [table("Calls", ["Calls", "All", "Failed", "Took on average"], [
      ["before the onset", count(f.n_before), count(f.n_failed_before), `${Math.round(f.mean_before_ms)} ms`],
      ["since", count(f.n), count(f.n_failed), `${Math.round(f.mean_ms)} ms`]], "None."),
    el("p", { class: "soft" }, `From ${entity(f.from)} to ${entity(f.to)}.`)];
    case "requests": return [table("Requests", ["Requests", "All", "Failed or slow", "Share"], [
      [`${f.attribute} ${f.value}`, count(f.n), count(f.n_bad), `${Math.round(100 * f.n_bad / f.n)} %`],
      ["all others", count(f.n_others), count(f.n_bad_others), `${Math.round(100 * f.n_bad_others / f.n_others)} %`]], "None."),
    el("p", { class: "soft" }, `At least ${Math.floor(f.at_least)} times as often, with a correction for all values that were tried.`)];
    case "change": return [el("dl", {}, [["What", change.title], ["On", entity(change.entity)], ["Kind", change.kind],
      ["When", `${minute(change.at)} UTC`], ["Version", [change.previous, change.version].filter(Boolean).join(" → ")],
      ["Author", change.author], ["Status", change.status], ["Link", change.url]].filter(([, v]) => v)
      .flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]))];
    case "incident": return [el("p", {}, el("a", { href: `#/incidents/${f.incident}` }, f.title), ` (${Math.round(f.similarity * 100)} % alike)`),
      el("p", {}, f.fixed_by ? `Fixed by ${f.fixed_by}.` : "No fix is recorded.")];
    case "runbook": return [el("p", {}, el("a", { href: `#/runbooks/${encodeURIComponent(f.id)}` }, f.title)), el("p", {}, f.excerpt)];
    case "record": return [el("p", {}, f.text)];
    default: return [el("pre", {}, JSON.stringify(f, null, 2))];
  }
}

/** One piece of evidence with the query that gives it again. */
export async function open(id) {
  try {
    const e = typeof id === "string" ? await api(`/evidence/${id}`) : id;
    show(e.summary, finding(e), el("dl", { class: "source" }, el("dt", {}, "Query"), el("dd", {}, el("code", {}, e.query)),
      el("dt", {}, "Source"), el("dd", {}, e.source), el("dt", {}, "Range"),
      el("dd", {}, `${minute(e.since)} to ${minute(e.until)} UTC`)));
  } catch (error) { toast(error.message); }
}

/** A bar for a share of 0 to 1, with its figure in words beside it. */
export function bar(share, label) {
  const width = Math.max(0, Math.min(1, share)) * 100;
  return svg("svg", { class: "bar", viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("rect", { class: "ground", width: "100", height: "6", rx: "3" }), svg("rect", { class: "share", width: width.toFixed(1), height: "6", rx: "3" }));
}
