// The detectors: the alert budget, whether their p-values hold, and versions compared.
import { el, badge, button, minute, clock, entity, count, table } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { form, field } from "/assets/form.js";
import * as tuning from "/assets/tuning.js";
import * as classifier from "/assets/classifier.js";

const chance = (nats) => { const p = Math.exp(-nats); return p >= 0.01 ? p.toFixed(3) : p.toExponential(1); };
const share = (x) => (x === null || x === undefined ? "not known yet" : `${Math.round(100 * x)} %`);
const times = (x) => (x >= 10 ? count(Math.round(x)) : x.toFixed(1));
const who = (name) => el("a", { href: `#/services/${encodeURIComponent(name)}` }, entity(name));

/** What is told and what it costs, in words and figures. */
function budget(found, told) {
  const b = told.budget;
  const day = b.last_day;
  const spent = day.ordinary + day.reserved;
  const words = b.asked_per_day > 0
    ? `About ${b.asked_per_day} anomalies a day are asked for. Within the last 24 hours ${spent} were told: ${day.ordinary} on the budget, ${day.reserved} in the reserved lane for critical ones; ${day.joined} more joined them, and ${day.held} were held back.`
    : `No budget is set: everything rarer than ${chance(b.threshold)} is told. Within the last 24 hours that were ${spent}.`;
  const figures = [
    ["Told / asked, 24 h", b.asked_per_day > 0 ? `${spent} / ${b.asked_per_day}` : count(spent)],
    ["Needed now", `a chance of ${chance(b.threshold + b.burst_nats)} or less`],
    ["With one more a day", `${chance(b.next_threshold)} or less`],
    ["Tests a day", count(Math.round(b.tests_per_day))],
    ["Likely false among told", share(b.false_ratio)],
    [`LORD++ at ${Math.round(100 * b.bounded_level)} % would tell`, b.bounded_ratio === null ? "not known yet" : `${times(b.bounded_ratio)} for each one told`],
  ];
  const days = b.days.slice(-14).reverse().map((d) => [minute(d.since).slice(0, 10), count(d.ordinary), count(d.reserved), count(d.joined), count(d.held)]);
  const held = found.held_back.map((n) => [minute(n.at), who(n.entity), n.what, chance(n.surprise), chance(n.needed), n.would_need_per_day >= 1 ? times(n.would_need_per_day) : "< 1"]);
  const recent = b.recent.slice(0, 20).map((r) => [minute(r.at), who(r.entity), r.what, chance(r.surprise), r.lane === "reserved" ? badge("reserved", "critical") : "budget"]);
  return [el("section", { class: "panel wide", id: "budget" }, el("h1", {}, "Alert budget"), el("p", {}, words),
    el("dl", { class: "figures" }, figures.flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])),
    el("h2", {}, "What the next would buy"), el("p", { class: "soft" }, "Held back within a day, the nearest to the threshold first. They are kept, strengthen an incident, and open none."),
    table("Held back", ["Time (UTC)", "Entity", "What", "Chance", "Needed", "Told at a day"], held, "Nothing was held back within a day."),
    el("h2", {}, "Told lately"), table("Told lately", ["Time (UTC)", "Entity", "What", "Chance", "Lane"], recent, "Nothing was told yet."),
    el("h2", {}, "By day"), table("By day", ["Day (UTC)", "On the budget", "Reserved", "Joined", "Held back"], days, "No day is known yet."))];
}

const level = (p) => `1 in ${count(Math.round(1 / p))}`;

function move(version) {
  const to = version.stage === "live" ? "shadow" : "live";
  const words = to === "live" ? "Its word counts again from the next batch on." : "It goes on being compared; its word does not count.";
  form(`${version.name} to ${to}`, [el("p", {}, words), field("reason", "Reason", "text", { required: true, maxlength: 500 })],
    { submit: `Move to ${to}`, send: (v) => api(`/detectors/${encodeURIComponent(version.name)}/stage`, { stage: to, reason: v.reason }), done: `${version.name} goes to ${to}.` });
}

function standing(version) {
  const rates = version.rates.filter((r) => r.nominal > 0).map((r) => [level(r.level), times(r.nominal), times(r.observed), times(r.ratio), `${times(r.low)} to ${times(r.high)}`, r.enough ? "" : "too few to judge"]);
  const inputs = version.inputs.filter((i) => i.index !== null).map((i) => [i.input, i.index.toFixed(3), i.index >= 0.25 ? badge("another population", "critical") : i.index >= 0.1 ? "moved" : "stable"]);
  return el("section", { class: "panel wide" }, el("h2", {}, version.name, " ", badge(version.stage, version.stage === "live" ? "on" : ""), version.drifts ? [" ", badge("drifts", "critical")] : null),
    el("p", {}, `${version.why} Since ${minute(version.since)} UTC.`),
    version.n_rows ? [el("p", { class: version.drifts ? "bad" : "soft" }, version.standing),
      table(`Calibration of ${version.name}`, ["Level", "Nominal", "Observed", "Ratio", "95 % interval", ""], rates, ""),
      el("h2", {}, "Inputs"), table(`Inputs of ${version.name}`, ["Input", "Stability index", ""], inputs, "Two days must be known before inputs can be compared.")] : null,
    el("div", { class: "buttons" }, button(version.stage === "live" ? "Move to shadow…" : "Move to live…", () => move(version), { class: "quiet" })));
}

function pooled(pool) {
  const rates = pool.rates.filter((r) => r.nominal > 0).map((r) => [level(r.level), times(r.nominal), times(r.before), times(r.after)]);
  return el("section", { class: "panel wide", id: "pooled" }, el("h2", {}, "Learned from all series ", badge(pool.live ? "told" : "compared", pool.live ? "on" : "")),
    el("p", {}, pool.text),
    table("What the pool learned", ["Level", "Nominal", "Observed / nominal by default", "As learned"], rates, "Nothing was learned yet."),
    el("p", { class: "soft" }, `A chance differs from the built-in default by ${times(pool.most_times)} times at most.`));
}

function pair(p) {
  const lead = p.second_earlier_min === null ? "" : p.second_earlier_min >= 0
    ? ` In the median ${p.second} was ${times(p.second_earlier_min)} min earlier.` : ` In the median ${p.first} was ${times(-p.second_earlier_min)} min earlier.`;
  const said = `Since ${minute(p.since)} UTC both told ${count(p.both)}, ${p.first} alone ${count(p.first_only)}, ${p.second} alone ${count(p.second_only)}; they agree on ${share(p.agreement)}.${lead}`;
  const apart = p.apart.slice(0, 12).map((a) => [`${minute(a.at).slice(5, 10)} ${clock(a.at)}`, who(a.entity), a.what, a.by, chance(a.surprise)]);
  return el("section", { class: "panel wide" }, el("h2", {}, `${p.first} and ${p.second}`), el("p", {}, said),
    table(`Where ${p.first} and ${p.second} differ`, ["Time (UTC)", "Entity", "What", "Told by", "Chance"], apart, "They did not differ."));
}

export async function page() {
  const [found, tunings, models] = await Promise.all([api("/detectors"), api("/detectors/proposals?limit=200"), api("/models")]);
  const told = found.versions.find((v) => v.name === found.told_by);
  if (!told) return { title: "Detectors", nodes: [el("p", { class: "empty" }, "No live data was judged yet."), tuning.panel(tunings), classifier.panel(models)] };
  const news = found.news.map((n) => [minute(n.at), n.text]);
  return { title: "Detectors", nodes: [...budget(found, told), tuning.panel(tunings), classifier.panel(models),
    el("section", { class: "panel wide", id: "detectors" }, el("h1", {}, "Detectors"), table("News of detectors", ["Time (UTC)", "What happened"], news, "No detector was moved, and none drifts.")),
    ...found.versions.map(standing), pooled(found.pooled), ...found.pairs.map(pair)] };
}
