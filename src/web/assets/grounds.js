// Why something was flagged: the band, what each view saw, how often such a value was seen, and
// what would not have been flagged.
import { el, badge, minute, entity, count, table } from "/assets/dom.js";
import { picture } from "/assets/evidence.js";

/** `1 in 160,000`; beyond a billion only that it is. */
const oneIn = (p) => {
  const n = 1 / Math.max(p, 1e-300);
  if (n >= 1e9) return "less than 1 in 1,000,000,000";
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(n, 1))) - 1);
  return `1 in ${(Math.round(n / step) * step).toLocaleString("en-US", { maximumFractionDigits: 1 })}`;
};

const of = (subject) => subject.entity || subject.series?.entity || subject.to || "";

function seen(g) {
  if (g.once_in > g.n_points) return `none of its ${count(g.n_points)} points so far was as far out`;
  return `about ${oneIn(1 / g.once_in)} of its ${count(g.n_points)} points so far was as far out`;
}

/** Half an hour before it to half an hour after it, with the band that is expected. */
function chart(c) {
  if (!c.series) return null;
  const at = (text, min) => new Date(new Date(text).getTime() + min * 60000).toISOString();
  const a = c.anomaly;
  return picture(`/api/v1/series/${c.series}/chart.svg?since=${encodeURIComponent(at(a.since, -60))}&until=${encodeURIComponent(at(a.until || a.at, 20))}`,
    `${c.what} with what is expected`, a.at);
}

/** One anomaly with its grounds. */
export function block(c) {
  const a = c.anomaly;
  const g = a.grounds;
  const facts = [
    ["Value", `${c.value}, at worst ${c.peak}`],
    ["Expected", `${c.low} to ${c.high}`],
    ["Distance", `${a.score.toLocaleString("en-US", { maximumFractionDigits: 1 })} robust standard deviations at worst`],
    g && ["Chance", `${oneIn(g.p_value)} that a quiet point of it begins like this`],
    g && ["Seen before", seen(g)],
    c.unflagged && ["Not flagged", `${c.unflagged[0]} to ${c.unflagged[1]} would not have been`],
    ["Detector", a.detector],
  ].filter(Boolean);
  const views = (g?.views || []).map((v) => [v.view, oneIn(v.p_value)]);
  return el("section", { class: "panel grounds", "data-key": a.id },
    el("p", {}, el("strong", {}, `${c.what} of ${entity(of(a.subject))} `), badge(a.until ? "over" : "under way", a.until ? "" : "warning")),
    el("p", { class: "soft small" }, `Since ${minute(a.since)} UTC${a.until ? `, until ${minute(a.until)} UTC` : ""}.`),
    chart(c), el("dl", { class: "figures" }, facts.flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])),
    g ? table("Views that were surprised", ["View of its own past", "Chance of what it saw"], views, "No single view was surprised: it is far out, or lasts.")
      : el("p", { class: "soft" }, "Its past is too short to say how rare this is; the band decides."));
}

/** All that our detectors claim of an incident. */
export const blocks = (found) => (found.anomalies.length
  ? [el("h1", { class: "above-blocks" }, "Why it was flagged"), found.anomalies.map(block)]
  : [el("p", { class: "empty" }, "None of its alerts comes from a detector of nightjar.")]);
