// Lists: alerts with their decisions, changes, silences; and the page behind Why?.
import { el, state as firing, button, minute, entity, badge, table } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { toast } from "/assets/form.js";
import { silence, matchersOf, explained } from "/assets/actions.js";
import { press } from "/assets/press.js";

const heading = (title, words, ...more) => el("div", { class: "head" }, el("div", {}, el("h1", {}, title), el("p", { class: "soft" }, words)), ...more);

/** A choice among a few, kept in the address. */
const choice = (base, options, here) => el("nav", { class: "tabs", "aria-label": "Filter" }, options.map(([key, label]) => el("a", {
  href: `#/${base}${key ? `/${key}` : ""}`, "aria-current": (here || "") === key ? "page" : null,
}, label)));

const ID = /((?:ALT|INC)-[0-9A-Z]{26})/;
/** Words in which other alerts and incidents are named lead to them. */
const linked = (text) => text.split(ID).map((part) => (ID.test(part)
  ? el("a", { href: part.startsWith("INC") ? `#/incidents/${part}` : `#/why/${part}`, title: part }, `${part.slice(0, 4)}…${part.slice(-4)}`) : part));

const decision = (a) => (a.suppressed ? [badge("held back"), " ", linked(`${a.suppressed.by}: ${a.suppressed.reason}`)] : linked(a.decision || ""));

export async function alerts(status) {
  const { alerts: all } = await api(`/alerts?limit=300${status ? `&status=${encodeURIComponent(status)}` : ""}`);
  const rows = all.map((a) => [minute(a.starts_at), firing(a), a.severity, entity(a.entity),
    a.annotations.summary || a.labels.alertname, decision(a),
    el("div", { class: "row" }, a.incident ? el("a", { href: `#/incidents/${a.incident}` }, "Incident") : null,
      button("Why?", () => press({ verb: "why", subject: a.id }), { class: "quiet" }), button("Silence…", () => silence(matchersOf(a)), { class: "quiet" }))]);
  return { title: "Alerts", nodes: [heading("Alerts", "Every alert, with what was decided about it and why. Times are UTC."),
    choice("alerts", [["", "All"], ["firing", "Firing"], ["resolved", "Resolved"]], status),
    table("Alerts", ["Since", "Status", "Severity", "Entity", "Alert", "Decision", ""], rows, "No alert here.")] };
}

export async function changes() {
  const { changes: all } = await api("/changes?limit=200");
  const link = (c) => (/^https?:\/\//.test(c.url || "") ? el("a", { href: c.url, rel: "noopener noreferrer", target: "_blank" }, c.title) : c.title);
  const rows = all.map((c) => [minute(c.at), badge(c.kind.replace("_", " ")), entity(c.entity), link(c),
    [c.previous, c.version].filter(Boolean).join(" → "), c.author || "", c.status, c.source]);
  return { title: "Changes", nodes: [heading("Changes", "Deploys, configuration, policies and flags, as the systems that made them said. Times are UTC."),
    table("Changes", ["When", "Kind", "Entity", "Change", "Version", "Author", "Status", "Source"], rows, "No change was told yet.")] };
}

export async function silences() {
  const [{ silences: all }, { now }] = [await api("/silences?limit=200"), await api("/status")];
  const end = async (id) => {
    try { await api(`/silences/${id}`, undefined, "DELETE"); toast("Ended."); } catch (error) { toast(error.message); }
    document.dispatchEvent(new CustomEvent("stale"));
  };
  const state = (s) => (s.ends_at <= now ? "ended" : s.starts_at > now ? "planned" : "in force");
  const rows = all.map((s) => [badge(state(s), state(s) === "in force" ? "on" : ""), el("code", {}, s.matchers.join(", ")),
    `${minute(s.starts_at)} to ${minute(s.ends_at)}`, s.author.name, [s.reason, s.maintenance ? badge("maintenance") : ""],
    state(s) === "ended" ? "" : button("End now", () => end(s.id), { class: "quiet" })]);
  return { title: "Silences", nodes: [
    heading("Silences", "What is held back, by whom, until when. A silence holds alerts back; it deletes nothing. Times are UTC.",
      button("New silence…", () => silence(['service=""']), { class: "primary" })),
    table("Silences", ["State", "Matchers", "In force", "Author", "Reason", ""], rows, "Nothing is silenced.")] };
}

/** Why an alert or incident is (not) what it is. */
export async function why(id) {
  if (!id) return { title: "Why?", nodes: [el("p", { class: "empty" }, "Open an alert or incident and press Why?.")] };
  const e = await api(`/why/${encodeURIComponent(id)}`);
  return { title: e.title, nodes: [el("section", { class: "panel" }, el("h1", {}, e.title), explained(e))] };
}
