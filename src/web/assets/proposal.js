// Proposals: what is offered, and the forms in which a person decides. A form shows exactly what
// will be done; what is sent carries the digest of the plan that was shown.
import { el, badge, button, minute, entity, n_of } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { form, field, utc, toast } from "/assets/form.js";

const listed = (pairs) => el("dl", {}, pairs.filter(([, v]) => v).flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
const state = (map) => Object.entries(map).map(([k, v]) => `${k} = ${v}`).join(", ");

function who(p) {
  const { role, n_approvals: n, no_self_approval: other } = p.requires;
  const people = n > 1 ? `${n} different people with role ${role}` : `role ${role}`;
  return other ? `${people}, none of whom asked for it, edited it or authored the change` : people;
}

const approvals = (p) => p.decisions.filter((d) => d.verdict.verdict !== "ignore")
  .map((d) => `${d.actor.name}${d.reason ? ` (${d.reason})` : ""}`).join(", ");

function plan(p) {
  return [el("p", {}, p.why),
    el("h2", {}, "Exactly this will be done"), el("pre", { id: "exact" }, p.exact),
    listed([["Target", entity(p.plan.target)], ["Target now", state(p.plan.observed) || "not observed"], ["Risk", p.risk],
      ["Expected", p.expected_effect], ["So far", p.past], ["May approve", who(p)],
      ["Approved so far", approvals(p)], ["Open until", `${minute(p.expires_at)} UTC`], ["Plan", el("code", {}, p.digest.slice(0, 16))]])];
}

/** What the runbook says of a plan's parameters; nothing where the runbook is gone. */
async function declared(p) {
  if (!Object.keys(p.plan.parameters).length) return new Map();
  try {
    const { actions } = await api(`/runbooks/${encodeURIComponent(p.plan.runbook)}`);
    const own = actions.find((a) => a.id === p.plan.action)?.parameters || [];
    return new Map(own.map((d) => [d.name, d]));
  } catch { return new Map(); }
}

function parameter(name, value, d = {}) {
  const bounds = d.min !== undefined && d.min !== null ? `${d.min} to ${d.max ?? "any"}` : d.max ? `at most ${d.max}` : "";
  const props = { value, hint: [d.description, bounds].filter(Boolean).join("; ") || undefined };
  if (d.choices?.length) return field(`parameter.${name}`, name, "select", { ...props, options: d.choices.map((c) => [c, c]) });
  if (d.type === "integer") Object.assign(props, { min: d.min, max: d.max });
  return field(`parameter.${name}`, name, d.type === "integer" ? "number" : "text", props);
}

function parameters(p, bounds) {
  const names = Object.keys(p.plan.parameters);
  if (!names.length) return null;
  return el("details", { id: "parameters" }, el("summary", {}, "Change parameters"),
    el("p", { class: "hint" }, "A change makes a new plan with another digest; it is shown here again before it can be approved."),
    names.map((name) => parameter(name, p.plan.parameters[name], bounds.get(name))));
}

/** The parameters that differ from the plan's; null where none does. */
function changed(p, values) {
  const asked = Object.keys(p.plan.parameters).map((name) => [name, values[`parameter.${name}`]]);
  return asked.some(([name, value]) => value !== p.plan.parameters[name]) ? Object.fromEntries(asked) : null;
}

/** A quarter of an hour from now in event time, or the end of the offer where that is sooner. */
function soon(now, p) {
  const at = new Date(Date.parse(now) + 15 * 60_000).toISOString();
  return (at < p.expires_at ? at : p.expires_at).slice(0, 16);
}

/** Approve… and Schedule…. */
export async function decide(p, later) {
  const [bounds, now] = await Promise.all([declared(p), later ? api("/status").then((s) => s.now, () => p.created_at) : p.created_at]);
  const when = later ? field("at", "When (UTC, event time)", "datetime-local",
    { required: true, value: soon(now, p), min: now.slice(0, 16), max: p.expires_at.slice(0, 16), hint: `Before ${minute(p.expires_at)} UTC.` }) : null;
  const send = async (values) => {
    const edited = changed(p, values);
    if (edited) {
      const next = await api(`/proposals/${p.id}/edit`, { digest: p.digest, parameters: edited, reason: values.reason });
      await decide(next, later);
      toast("The plan was changed: read it again before you decide.");
      return "stay";
    }
    const body = { digest: p.digest, reason: values.reason };
    if (later) body.at = utc(values.at);
    return api(`/proposals/${p.id}/${later ? "schedule" : "approve"}`, body);
  };
  const said = (made) => {
    if (made.state === "open") return `Recorded: ${made.decisions.length} of ${made.requires.n_approvals} approvals.`;
    return later ? `Scheduled for ${minute(made.scheduled_for)} UTC.` : "Approved.";
  };
  form(p.title, [plan(p), when, parameters(p, bounds), field("reason", "Reason (kept in the audit log)", "text", { maxlength: 500 })],
    { submit: later ? "Schedule" : "Approve", send, done: said });
}

/** Ignore: asks why, because the answer changes the order of suggestions. */
export function ignore(p) {
  form(`Decline: ${p.title}`, [el("p", {}, p.exact.split("\n")[0]), field("reason", "Reason", "text", { maxlength: 500 })],
    { submit: "Decline", send: (v) => api(`/proposals/${p.id}/ignore`, { digest: p.digest, reason: v.reason }), done: "Declined." });
}

/** One offered action with the buttons that the card gives it. */
export function offer(p, buttons, press) {
  const have = p.decisions.length;
  return el("section", { class: "offer", "data-key": p.id, "aria-label": p.title },
    el("h3", {}, p.title), el("p", {}, p.expected_effect),
    el("p", { class: "small" }, badge(`risk ${p.risk}`, `risk-${p.risk}`), p.rollback_of || p.past.startsWith("Not tried") ? null : badge(`expected to help in ${Math.round(p.chance * 100)} % of cases`),
      p.past ? badge(p.past) : null,
      p.requires.n_approvals > 1 ? badge(`${have} of ${p.requires.n_approvals} approvals`) : null,
      p.rollback_of ? badge("the way back") : null, el("span", { class: "soft" }, ` open until ${minute(p.expires_at)} UTC`)),
    el("div", { class: "buttons" }, buttons.map((b) => button(b.label, () => press(b), { class: b.style, "data-verb": b.verb }))));
}

/** One proposal of the past: what was decided by whom. */
export const past = (p) => el("li", { "data-key": p.id }, badge(p.state), ` ${p.title}`,
  p.ended ? el("span", { class: "soft" }, ` (${p.ended})`) : null,
  p.scheduled_for && p.state === "scheduled" ? ` for ${minute(p.scheduled_for)} UTC` : "",
  p.decisions.map((d) => el("div", { class: "soft small" }, `${d.verdict.verdict} by ${d.actor.name}${d.reason ? `: ${d.reason}` : ""}`)));

/** One run with what it said and what it did to the signal. */
export const run = (r) => el("li", { "data-key": r.id }, badge(r.state.replace("_", " "), r.state), ` ${r.action} on ${entity(r.target)}`,
  r.dry_run ? " (dry run: nothing was sent)" : "",
  el("div", { class: "soft small" }, `${minute(r.started_at)} UTC, approved by ${r.approved_by.map((a) => a.name).join(" and ")}`),
  r.output.length ? el("details", {}, el("summary", {}, n_of(r.output.length, "line") + " of output"), el("pre", {}, r.output.join("\n"))) : null,
  r.outcome ? el("p", { class: r.outcome.effect === "helped" ? "good" : r.outcome.effect === "worse" ? "bad" : "" }, r.outcome.text) : null);
