// What people do beyond the buttons of a card: reviews, splits, and silences in full.
import { el, entity, badge, minute } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { form, field } from "/assets/form.js";

export function review(i) {
  form(`Review of #${i.number}`, [field("text", "What was learned", "lines", { rows: "6", maxlength: 4000 })],
    { submit: "Close the review", send: (v) => api(`/incidents/${i.id}/review`, { text: v.text }), done: "Reviewed." });
}

/** Says what an incident was that ended by itself. */
export function judge(i, real) {
  const words = real ? "It is kept as a real incident: what told it is not made quieter." : "It is kept as a false alarm: several of a kind speak for a higher bar, which is tried on history and proposed.";
  form(real ? `#${i.number} was real` : `#${i.number} was no incident`, [el("p", {}, words), field("reason", "Reason", "text", { maxlength: 500 })],
    { submit: real ? "It was real" : "Not an incident", send: (v) => api(`/incidents/${i.id}/${real ? "resolve" : "not-an-incident"}`, { reason: v.reason }), done: "Kept." });
}

export function split(i, alerts) {
  const rows = alerts.map((a) => el("p", { class: "field check" }, el("input", { type: "checkbox", name: "alerts", value: a.id, id: `s-${a.id}` }),
    el("label", { for: `s-${a.id}` }, `${entity(a.entity)}: ${a.annotations.summary || a.labels.alertname || a.id} (${a.status})`)));
  form(`Split #${i.number}`, [el("p", { class: "soft" }, "The alerts that are ticked become an incident of their own."),
    el("fieldset", {}, el("legend", {}, "Alerts"), rows), field("reason", "Reason", "text", { maxlength: 500 })],
  { submit: "Split", send: (v) => api(`/incidents/${i.id}/split`, { alerts: v.alerts || [], reason: v.reason }),
    done: (made) => `Split: #${made.number} was made.` });
}

/** The form of silences and maintenance windows. */
export function silence(matchers) {
  form("Silence alerts", [
    field("matchers", "Matchers, one a line; all must match", "lines", { value: matchers.join("\n"), required: true, spellcheck: "false",
      hint: 'service="orders", alertname=~"Disk.*", severity!="critical"' }),
    field("duration", "For how long", "text", { value: "1 h", required: true, hint: "30 min, 2 h, 1 d" }),
    field("reason", "Reason (shown with it)", "text", { required: true, maxlength: 500 }),
    field("starts_at", "From (UTC; empty: now)", "datetime-local"),
    field("maintenance", "Planned work (a maintenance window)", "checkbox")],
  { submit: "Silence", done: (s) => `Silenced until ${minute(s.ends_at)} UTC.`,
    send: (v) => api("/silences", {
      matchers: v.matchers.split("\n").map((m) => m.trim()).filter(Boolean), duration: v.duration, reason: v.reason, maintenance: v.maintenance,
      ...(v.starts_at ? { starts_at: `${v.starts_at}:00Z` } : {}),
    }) });
}

const quoted = (text) => `"${String(text).replace(/(["\\])/g, "\\$1")}"`;

/** Matchers of what an incident or alert is about. */
export function matchersOf(subject) {
  const labels = subject.labels || {};
  const given = ["alertname", "service", "service.name", "instance"].filter((k) => labels[k]);
  if (given.length) return given.map((k) => `${k}=${quoted(labels[k])}`);
  const about = subject.entity || subject.entities?.[0] || "";
  return [`service=${quoted(entity(about))}`];
}

/** The answer to Why?, as nodes. */
export const explained = (e) => [el("ul", {}, e.lines.map((l) => el("li", {}, l))),
  e.records?.length ? el("details", {}, el("summary", {}, `Audit records behind it (${e.records.length})`),
    el("ul", {}, e.records.map((r) => el("li", {}, badge(`${r.seq}`), ` ${minute(r.at)} UTC ${r.action} by ${r.actor.name}`)))) : null];
