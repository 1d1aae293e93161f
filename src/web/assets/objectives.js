// Service level objectives: the budget that is left, how fast it burns, and when it is gone.
import { el, badge, minute, count, table } from "/assets/dom.js";
import { api } from "/assets/net.js";

const STATES = {
  no_data: ["no data", "warning", "No series that it names was heard; look at its metric and labels"], blind: ["blind", "warning", "It was measured before, and is not now"],
  page: ["page", "critical", "It burns so fast that somebody is to be woken"], ticket: ["ticket", "warning", "It burns so fast that somebody is to look in working hours"],
  broken: ["broken", "critical", "Its budget is used up"], kept: ["kept", "on", "It is kept"],
};
const rate = (x) => (x >= 9.95 ? x.toFixed(0) : x.toFixed(1));
const hours = (h) => (h < 1 ? `${Math.round(h * 60)} min` : h < 48 ? `${h} h` : `${h / 24} d`);

/** How much of the budget is left, as a bar and a figure. */
function left(o) {
  if (o.budget_left === undefined || o.budget_left === null) return "";
  const share = Math.min(Math.max(o.budget_left, 0), 1);
  const text = o.budget_left < 0 ? `overspent by ${Math.round(-o.budget_left * 100)} %` : `${Math.round(o.budget_left * 100)} %`;
  return [el("meter", { min: 0, max: 1, low: 0.2, high: 0.5, optimum: 1, value: share, "aria-label": `${o.name}: budget left` }), ` ${text}`];
}

const burn = (b) => el("span", { class: b.fires ? "bad" : "", title: `over ${hours(b.long_h)}, and ${rate(b.short)} over ${hours(b.short_h)}; a ${b.urgency} from ${rate(b.threshold)}` }, rate(b.long));

export async function page() {
  const { objectives } = await api("/objectives");
  const rows = objectives.map((o) => {
    const [word, kind, title] = STATES[o.state] || [o.state, "", ""];
    const good = o.good === undefined || o.good === null ? "" : `${o.good.toFixed(3)} %`;
    const known = o.measured < 0.995 ? `${Math.round(o.measured * 100)} %` : "all";
    return [[el("strong", {}, o.name), o.description ? el("div", { class: "soft small" }, o.description) : null],
      el("a", { href: `#/services/${encodeURIComponent(`service.name=${o.service}`)}` }, o.service), el("span", { title }, badge(word, kind)),
      `${o.objective} % over ${o.window}`, good, left(o), ...o.burns.map(burn), o.exhausted_at ? minute(o.exhausted_at) : "",
      o.exhaustion || "", [o.measured_until ? known : "never", o.n_late ? el("span", { class: "soft small" }, ` ${count(o.n_late)} points late`) : null]];
  });
  return { title: "Objectives", nodes: [el("section", { class: "panel wide" }, el("h1", {}, "Service level objectives"),
    el("p", { class: "soft" }, "A burn rate of 1 uses up exactly the budget of the window. A page where 2 % of 30 days went in one hour or 5 % in six, a ticket where 10 % went in three days; each also over a twelfth of its time."),
    table("Objectives", ["Objective", "Service", "State", "Promise", "Good", "Budget left", "Burn 1 h", "6 h", "3 d", "Used up at this rate (UTC)", "Forecast", "Measured"], rows,
      "No objective is configured; see [[slo]] in the example configuration, or nightjar slo import."))] };
}
