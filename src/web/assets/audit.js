// The audit log: filters, paging, and the walk along its hash chain.
import { el, minute, button, table } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { toast } from "/assets/form.js";

let filter = {};
let older = [];
let verified = null;
const stale = () => document.dispatchEvent(new CustomEvent("stale"));

const query = (more) => Object.entries({ limit: "100", ...filter, ...more }).filter(([, v]) => v)
  .map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join("&");

/** A value in a line; of a digest the digits that people compare. */
const brief = (v) => (typeof v === "object" ? JSON.stringify(v) : /^[0-9a-f]{64}$/.test(v) ? `${v.slice(0, 16)}…` : v);

function detail(value) {
  const text = typeof value === "string" ? value : Object.entries(value || {}).map(([k, v]) => `${k}: ${brief(v)}`).join("; ");
  if (text.length < 160) return text;
  return el("details", {}, el("summary", {}, `${text.slice(0, 140)}…`), el("pre", {}, JSON.stringify(value, null, 2)));
}

const row = (r) => [String(r.seq), minute(r.at), r.actor.name, r.action,
  /^INC-/.test(r.subject) ? el("a", { href: `#/incidents/${r.subject}` }, r.subject) : r.subject, detail(r.detail)];

function controls() {
  const input = (name, label, hint) => el("p", { class: "field" }, el("label", { for: `a-${name}` }, label),
    el("input", { id: `a-${name}`, name, value: filter[name] || "", placeholder: hint, autocomplete: "off" }));
  return el("form", {
    class: "filters", "data-key": "filters",
    onsubmit: (event) => {
      event.preventDefault();
      filter = Object.fromEntries([...new FormData(event.target)].map(([k, v]) => [k, v.trim()]));
      older = [];
      stale();
    },
  }, input("actor", "Who", "operator"), input("action", "What begins with", "proposal."), input("subject", "About the id", "INC-…"),
  el("button", { type: "submit" }, "Filter"));
}

async function verify() {
  try { verified = await api("/audit/verify"); } catch (error) { toast(error.message); }
  stale();
}

export async function page() {
  const { records } = await api(`/audit?${query()}`);
  const all = [...records, ...older.filter((o) => !records.some((r) => r.seq === o.seq))];
  const last = all.at(-1)?.seq;
  const more = async () => {
    try { older = [...older, ...(await api(`/audit?${query({ before: last })}`)).records]; } catch (error) { toast(error.message); }
    stale();
  };
  const result = verified && el("p", { id: "verified", role: "status", class: verified.whole ? "good" : "bad" }, verified.whole
    ? ["The chain is whole: ", `${verified.n} records, last hash `, el("code", {}, verified.hash.slice(0, 16)), ". Compare it with one written down elsewhere."]
    : verified.reason);
  return { title: "Audit", nodes: [
    el("div", { class: "head" }, el("div", {}, el("h1", {}, "Audit"), el("p", { class: "soft" }, "Every decision by machine or person, each record chained to the one before by its hash. Times are UTC.")),
      button("Verify the chain", verify, { class: "primary", id: "verify" })),
    result, controls(), table("Audit records", ["#", "When", "Who", "What", "Subject", "Detail"], all.map(row), "No such record."),
    last > 1 && records.length ? el("div", { class: "buttons" }, button("Older", more)) : null] };
}
