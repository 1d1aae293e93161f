// Proposed changes of detection: what judgements speak for, its backtest, and the buttons.
import { el, badge, button, minute, entity, count, n_of, table } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { form, field } from "/assets/form.js";

const WORDS = { open: "waits for you", applied: "applied", not_made: "not proposed", declined: "declined", withdrawn: "withdrawn", taken_back: "taken back", replaced: "replaced", lapsed: "lapsed" };
const SAID = { dismissed: "called no incident", confirmed: "confirmed", unsaid: "nothing said" };

/** Asks for a reason and does the deed; the server refuses what the role does not allow. */
function ask(tuning, deed, title, words, done, danger) {
  form(title, [el("p", {}, tuning.title), el("p", {}, words), field("reason", "Reason", "text", { required: true, maxlength: 500 })],
    { submit: title, danger, send: (v) => api(`/detectors/proposals/${tuning.id}/${deed}`, { reason: v.reason }), done });
}

const holds = (t) => `It holds from the next batch on, for ${n_of(t.holds_days, "day")}; then it lapses and has to be earned anew. It can be taken back at any time.`;

function buttons(t) {
  if (t.state === "open") return el("div", { class: "buttons" },
    button("Apply…", () => ask(t, "apply", "Apply", holds(t), `Detection of ${t.scope.metric || entity(t.scope.entity)} follows from now on.`), { class: "primary" }),
    button("Decline…", () => ask(t, "decline", "Decline", "The judgements that it follows from do not count again.", "It is declined.")));
  if (t.state === "applied") return el("div", { class: "buttons" },
    button("Take back…", () => ask(t, "undo", "Take back", `Detection is at ${t.from} times the configured band again from the next batch on.`, "It is taken back."), { class: "quiet" }));
  return null;
}

function trial(t) {
  if (!t) return null;
  const pair = (b) => [count(b.before), count(b.after)];
  const figures = [["Anomalies", ...pair(t.anomalies)], ["Alerts of at least warning", ...pair(t.alerts)], ["Incidents of their own", ...pair(t.incidents)]];
  const told = t.told.map((j) => [minute(j.onset_at), el("a", { href: `#/incidents/${j.incident}` }, `#${j.number} ${j.title}`), SAID[j.judgement],
    [badge(j.stays ? "told" : "not told", j.stays ? "on" : ""), j.replayed ? "" : " by its record; its points are not stored"]]);
  return [el("h3", {}, "Backtest"), el("p", { class: "soft" }, `${t.text} Replayed from ${minute(t.since)} to ${minute(t.until)} UTC, without what the budget would hold back.`),
    table("Before and with the change", ["Over stored history", "As it is", "With the change"], figures, ""),
    el("details", {}, el("summary", {}, `${n_of(t.told.length, "incident")} with the change`), table("Incidents with the change", ["Since (UTC)", "Incident", "Said", "With the change"], told, "None."))];
}

function deeds(t) {
  const by = (word, d) => (d ? el("p", { class: "soft small" }, `${word} by ${d.by.name} at ${minute(d.at)} UTC${d.reason ? `: ${d.reason}` : ""}.`) : null);
  return [by(t.state === "declined" ? "Declined" : "Applied", t.decided), t.until && t.state === "applied" ? el("p", { class: "soft small" }, `Until ${minute(t.until)} UTC.`) : null, by("Taken back", t.taken_back)];
}

const one = (t) => el("li", { "data-key": t.id, class: `tuning ${t.state}` },
  el("p", {}, badge(WORDS[t.state] || t.state, { open: "warning", applied: "on" }[t.state] || ""), " ", el("strong", {}, t.title)),
  el("p", { class: "soft" }, t.why), deeds(t), trial(t.trial), buttons(t));

/** The panel: what waits, what holds, and what was looked at. */
export function panel({ proposals, bars }) {
  const of = (...states) => proposals.filter((t) => states.includes(t.state));
  const now = [...of("open"), ...of("applied")];
  const past = of("not_made", "declined", "withdrawn", "taken_back", "replaced", "lapsed").slice(0, 20);
  const standing = bars.map((b) => [b.scope.metric ? `${b.scope.metric} of ${entity(b.scope.entity)}` : [b.scope.indicator, "of", entity(b.scope.entity)].filter(Boolean).join(" "), `${b.factor}`, minute(b.since), minute(b.until), b.by]);
  return el("section", { class: "panel wide", id: "tuning" }, el("h1", {}, "Learned from what you said"),
    el("p", { class: "soft" }, "Incidents called none speak for a higher bar, confirmed ones that detection missed for a lower one. Each change is tried on stored history first, and nothing is applied by itself."),
    now.length ? el("ul", { class: "plain" }, now.map(one)) : el("p", { class: "empty" }, "Nothing waits for you, and no change holds."),
    bars.length ? [el("h2", {}, "Bars that stand"), table("Bars that stand", ["Of", "Times the band", "Since (UTC)", "Until (UTC)", "By"], standing, "")] : null,
    past.length ? el("details", {}, el("summary", {}, `Earlier, and what was looked at and not proposed (${past.length})`), el("ul", { class: "plain" }, past.map(one))) : null);
}
