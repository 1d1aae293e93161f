// What people do with an incident beyond deciding on proposals: each in a form of its own.
import { el, entity, badge, minute } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { form, field, show, toast } from "/assets/form.js";

const words = (verb, path, title, submit, props = {}) => (i) => form(`${title} #${i.number}`,
  [el("p", { class: "soft" }, i.title), field("reason", "Reason (kept in the timeline)", "text", { maxlength: 500 })],
  { submit, danger: props.danger, send: (v) => api(`/incidents/${i.id}/${path}`, { reason: v.reason }), done: verb });

const resolve = words("Resolved.", "resolve", "Resolve", "Resolve");
const reopen = words("Opened again.", "reopen", "Reopen", "Reopen");
const none = words("Ended as a false alarm.", "not-an-incident", "Not an incident:", "Not an incident", { danger: true });

export function review(i) {
  form(`Review of #${i.number}`, [field("text", "What was learned", "lines", { rows: "6", maxlength: 4000 })],
    { submit: "Close the review", send: (v) => api(`/incidents/${i.id}/review`, { text: v.text }), done: "Reviewed." });
}

export async function assign(i) {
  let people = [];
  try { people = (await api("/people")).people; } catch (error) { toast(error.message); }
  const options = [["me", "Me"], ["nobody", "Nobody"], ...people.map((p) => [`${p.via}:${p.id}`, `${p.name} (${p.role}, ${p.via})`])];
  form(`Assign #${i.number}`, [field("to", "To", "select", { options })],
    { submit: "Assign", send: (v) => api(`/incidents/${i.id}/assign`, { to: v.to }), done: "Assigned." });
}

export async function merge(i) {
  const { incidents } = await api("/incidents?limit=50");
  const options = incidents.filter((o) => o.id !== i.id && o.state !== "merged").map((o) => [o.id, `#${o.number} ${o.title} (${o.state})`]);
  if (!options.length) return toast("There is no other incident to merge into.");
  return form(`Merge #${i.number} into another`, [el("p", { class: "soft" }, `${i.title}. Its alerts move over; its story stays readable.`),
    field("into", "Into", "select", { options }), field("reason", "Reason", "text", { maxlength: 500 })],
  { submit: "Merge", send: (v) => api(`/incidents/${i.id}/merge`, v), done: "Merged." });
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

/** Matchers of the entity that leads an incident: the label that its alerts name it by. */
export function matchersOfIncident(found) {
  const leading = found.alerts.find((a) => a.id === found.incident.leading) || found.alerts[0];
  if (!leading) return matchersOf(found.incident);
  const name = entity(leading.entity);
  const key = Object.keys(leading.labels).find((k) => leading.labels[k] === name) || "service";
  return [`${key}=${quoted(name)}`];
}

/** The answer to Why?, as nodes. */
export const explained = (e) => [el("ul", {}, e.lines.map((l) => el("li", {}, l))),
  e.records?.length ? el("details", {}, el("summary", {}, `Audit records behind it (${e.records.length})`),
    el("ul", {}, e.records.map((r) => el("li", {}, badge(`${r.seq}`), ` ${minute(r.at)} UTC ${r.action} by ${r.actor.name}`)))) : null];

export async function why(id) {
  try {
    const e = await api(`/why/${id}`);
    show(e.title, explained(e), el("p", { class: "small" }, el("a", { href: `#/why/${id}`, onclick: () => document.getElementById("dialog").close() }, "Open as a page")));
  } catch (error) { toast(error.message); }
}

export async function acknowledge(i) {
  try { await api(`/incidents/${i.id}/acknowledge`, {}); toast("It is yours."); } catch (error) { toast(error.message); }
  document.dispatchEvent(new CustomEvent("stale"));
}

/** What the card's own buttons do. */
export const verbs = { acknowledge, resolve, reopen, not_an_incident: none, assign };
