// What was kept quiet and why: learned patterns with their buttons, alerts that reached nobody.
import { el, badge, button, minute, entity, n_of, state as firing, table } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { form, field } from "/assets/form.js";
import { press } from "/assets/press.js";

const WORDS = { shadow: "counts in shadow", open: "waits for you", applied: "holds", declined: "declined", lifted: "lifted", taken_back: "taken back", withdrawn: "withdrawn" };
const LOOK = { open: "warning", applied: "on", lifted: "critical" };

/** Asks for a reason and does the deed; the server refuses what the role does not allow. */
function ask(p, deed, title, words, done) {
  form(title, [el("p", {}, p.title), el("p", {}, words), field("reason", "Reason", "text", { required: true, maxlength: 500 })],
    { submit: title, send: (v) => api(`/harmless/${p.id}/${deed}`, { reason: v.reason }), done });
}

function buttons(p) {
  const decline = button("Decline…", () => ask(p, "decline", "Decline", "The incidents that it follows from do not count again.", "It is declined."));
  if (p.state === "shadow") return el("div", { class: "buttons" }, decline);
  if (p.state === "open") return el("div", { class: "buttons" },
    button("Confirm…", () => ask(p, "confirm", "Confirm", `Such alerts open no incident by themselves for ${n_of(p.holds_days, "day")}; then it has to be confirmed anew. Each is listed here, related trouble takes it into its incident, and a confirmed incident that follows lifts the rule.`, "It holds from the next batch on."), { class: "primary" }), decline);
  if (p.state === "applied") return el("div", { class: "buttons" },
    button("Take back…", () => ask(p, "undo", "Take back", "Such alerts open incidents again at once.", "It is taken back."), { class: "quiet" }));
  return null;
}

function counted(p) {
  const did = p.state === "applied" ? "kept" : "would have kept";
  const n = `Since ${minute(p.since)} UTC it ${did} ${n_of(p.n_kept, "alert")} quiet; ${p.followed.length ? n_of(p.followed.length, "confirmed incident") : "no confirmed incident"} followed.`;
  const rows = [...p.kept].reverse().slice(0, 20).map((k) => [minute(k.at), el("a", { href: `#/why/${k.alert}` }, "Why?"), k.incident ? el("a", { href: `#/incidents/${k.incident}` }, "Incident") : "none"]);
  const followed = p.followed.map((f) => el("li", {}, el("a", { href: `#/incidents/${f.incident}` }, `#${f.number} ${f.title}`)));
  return ["declined", "withdrawn"].includes(p.state) ? null : [el("p", { class: "soft" }, n), followed.length ? el("ul", {}, followed) : null,
    rows.length ? el("details", {}, el("summary", {}, "The newest of them"), table("Alerts of the pattern", ["Began (UTC)", "", "Incident"], rows, "")) : null];
}

function deeds(p) {
  const by = (word, d) => (d ? el("p", { class: "soft small" }, `${word} by ${d.by.name} at ${minute(d.at)} UTC${d.reason ? `: ${d.reason}` : ""}.`) : null);
  return [by(p.state === "declined" ? "Declined" : "Confirmed", p.decided), p.until && p.state === "applied" ? el("p", { class: "soft small" }, `Until ${minute(p.until)} UTC.`) : null, by("Taken back", p.taken_back)];
}

const one = (p) => el("li", { "data-key": p.id, class: `tuning pattern ${p.state}` },
  el("p", {}, badge(WORDS[p.state] || p.state, LOOK[p.state] || ""), " ", el("strong", {}, p.title)),
  el("p", { class: "soft" }, p.why), deeds(p), counted(p), buttons(p));

function panel(patterns) {
  const of = (...states) => patterns.filter((p) => states.includes(p.state));
  const now = [...of("open"), ...of("applied"), ...of("shadow")];
  const past = of("lifted", "taken_back", "declined", "withdrawn").slice(0, 20);
  return el("section", { class: "panel wide", id: "patterns" }, el("h2", {}, "Learned to be harmless"),
    el("p", { class: "soft" }, "Alerts of one kind whose incidents were called none, or ended by themselves without anybody doing anything. Each pattern counts in shadow first, and keeps nothing quiet before a person confirms it."),
    now.length ? el("ul", { class: "plain" }, now.map(one)) : el("p", { class: "empty" }, "No pattern is known, and none holds."),
    past.length ? el("details", {}, el("summary", {}, `Earlier (${past.length})`), el("ul", { class: "plain" }, past.map(one))) : null);
}

/** Which part of the list is shown, and the ways to the others. */
function pager(alerts, cursor, next) {
  const shown = alerts.length ? `${cursor ? "Older ones: " : "The newest "}${n_of(alerts.length, "alert")}, since ${minute(alerts[alerts.length - 1].starts_at)} UTC.` : "None was held back among those looked through.";
  return el("p", { class: "soft", id: "pager" }, shown, " ", cursor ? el("a", { href: "#/held", id: "newest" }, "Newest") : null, " ",
    next ? el("a", { href: `#/held/${encodeURIComponent(next)}`, id: "older" }, "Older") : null);
}

export async function page(cursor) {
  const from = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
  const [{ patterns }, { alerts, next }, { incidents }] = await Promise.all([api("/harmless?limit=200"), api(`/alerts?held=true&limit=300${from}`), api("/incidents?active=true&limit=200")]);
  const untold = incidents.filter((i) => i.untold).map((i) => [minute(i.opened_at), el("a", { href: `#/incidents/${i.id}` }, `#${i.number} ${i.title}`), badge(i.untold.by.split(" ")[0]), i.untold.reason, i.untold.until ? minute(i.untold.until) : ""]);
  const rows = alerts.map((a) => [minute(a.starts_at), firing(a), entity(a.entity), a.annotations.summary || a.labels.alertname,
    a.suppressed ? badge(a.suppressed.by.split(" ")[0]) : "", a.suppressed ? a.suppressed.reason : a.decision || "",
    a.suppressed?.until ? minute(a.suppressed.until) : "", button("Why?", () => press({ verb: "why", subject: a.id }), { class: "quiet" })]);
  return { title: "Held back", nodes: [
    el("div", { class: "head" }, el("div", {}, el("h1", {}, "Held back"), el("p", { class: "soft" }, "Alerts that reached nobody, the newest first, each with the rule that kept it quiet and what would have had to be different. Times are UTC."))),
    panel(patterns),
    untold.length ? el("section", { class: "panel wide", id: "untold" }, el("h2", {}, "Incidents that chats have not heard of yet"),
      table("Incidents that wait to be told", ["Opened", "Incident", "Rule", "Why", "Until"], untold, "")) : null,
    el("section", { class: "panel wide", id: "held" }, el("h2", {}, "Alerts"), cursor || next ? pager(alerts, cursor, next) : null,
      table("Alerts that were held back", ["Since", "Status", "Entity", "Alert", "Rule", "Why", "Until", ""], rows, cursor || next ? "None among these." : "Nothing was held back."))] };
}
