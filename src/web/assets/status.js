// How the bot itself is doing: sources, the halt switch, and keys for people and programs.
import { el, badge, button, minute, count, table } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { form, field, show, toast } from "/assets/form.js";

const stale = () => document.dispatchEvent(new CustomEvent("stale"));
const ROLES = [["viewer", "viewer: reads and asks"], ["responder", "responder: works on incidents"],
  ["approver", "approver: approves actions"], ["admin", "admin: everything"]];

function halting(halt) {
  if (!halt) {
    const ask = () => form("Halt all actions", [el("p", {}, "Nothing is carried out until an admin lets actions run again. What runs already is not cut off."),
      field("reason", "Reason", "text", { required: true, maxlength: 500 })],
    { submit: "Halt", danger: true, send: (v) => api("/halt", v), done: "Halted." });
    return [el("p", {}, "Approved actions are carried out."), el("div", { class: "buttons" }, button("Halt all actions…", ask, { class: "danger" }))];
  }
  const end = async () => {
    try { await api("/halt", undefined, "DELETE"); toast("Actions run again."); } catch (error) { toast(error.message); }
    stale();
  };
  return [el("p", { class: "bad" }, `Halted by ${halt.by.name} at ${minute(halt.at)} UTC: ${halt.reason}`),
    el("div", { class: "buttons" }, button("Let actions run again", end))];
}

const secret = (title, words, value) => show(title, el("p", {}, words), el("pre", { id: "secret" }, value));

function invite() {
  form("Login link", [el("p", { class: "soft" }, "It works once, for 30 minutes."), field("name", "For whom", "text", { required: true, maxlength: 60 }),
    field("role", "Role", "select", { options: ROLES })],
  { submit: "Make a link", send: async (v) => {
    const link = await api("/login-links", v);
    secret("Login link", `Send it to ${v.name} by a way that you trust. It is shown once.`, location.origin + link.path);
    return "stay";
  } });
}

function newToken() {
  form("API token", [field("name", "Name", "text", { required: true, maxlength: 60 }), field("role", "Role", "select", { options: ROLES }),
    field("days", "Days until it expires (empty: never)", "number", { min: 1, max: 3650 })],
  { submit: "Make a token", send: async (v) => {
    const made = await api("/tokens", { name: v.name, role: v.role, ...(v.days ? { days: Number(v.days) } : {}) });
    secret("API token", `The secret of ${v.name}. It is shown once; send it as "Authorization: Bearer …".`, made.secret);
    stale();
    return "stay";
  } });
}

async function keys() {
  let tokens;
  try { ({ tokens } = await api("/tokens")); } catch { return null; }
  const revoke = async (id) => {
    try { await api(`/tokens/${id}`, undefined, "DELETE"); toast("Revoked."); } catch (error) { toast(error.message); }
    stale();
  };
  const rows = tokens.map((t) => [t.name, t.role, t.configured ? "configuration" : t.created_by?.name || "", minute(t.created_at), minute(t.expires_at) || "never",
    minute(t.last_used_at) || "never", t.revoked_at ? badge("revoked") : t.configured ? "" : button("Revoke", () => revoke(t.id), { class: "quiet" })]);
  return el("section", { class: "panel wide" }, el("h1", {}, "People and programs"),
    el("div", { class: "buttons" }, button("Login link…", invite), button("API token…", newToken)),
    table("API tokens", ["Name", "Role", "Made by", "Made", "Expires", "Last used", ""], rows, "No token was made."));
}

const STATES = { refused: "The platform refuses it for good", trying: "Being sent", waiting: "Waits for its thread", due: "To be sent" };

/** Chat platforms: whether they are reached, and what they still have to get. */
async function chats(platforms) {
  if (!platforms?.length) return null;
  let posts = [];
  try { ({ posts } = await api("/outbox?limit=100")); } catch { /* What waits is counted in the table above. */ }
  const rows = platforms.map((p) => [p.platform, [badge(p.up ? "reached" : "not reached", p.up ? "on" : "critical"), p.why ? ` ${p.why}` : ""],
    count(p.n_due), p.oldest_due_at ? minute(p.oldest_due_at) : "", count(p.n_refused), minute(p.sent_at) || "never",
    p.error ? [p.failed_at ? el("span", { class: "soft" }, `${minute(p.failed_at)} `) : null, p.error] : ""]);
  const about = (p) => (p.incident ? el("a", { href: `#/incidents/${p.incident}` }, p.text || p.key) : p.text || p.key);
  const unsent = posts.map((p) => [p.platform, `# ${p.channel}`, about(p), [badge(p.state, p.state === "refused" ? "critical" : ""), el("span", { class: "hidden" }, STATES[p.state] || "")],
    p.urgency, minute(p.since), count(p.n_tries), p.reason || (p.state === "waiting" ? STATES.waiting : "")]);
  return el("section", { class: "panel wide", id: "chats" }, el("h1", {}, "Chat"),
    table("Chat platforms", ["Platform", "State", "Waiting", "Oldest (UTC)", "Refused", "Last sent (UTC)", "Newest error"], rows, ""),
    unsent.length ? [el("h2", {}, "Not there yet"), table("What was not sent", ["Platform", "Channel", "What", "State", "Kind", "Since (UTC)", "Tries", "Why"], unsent, "")]
      : el("p", { class: "soft" }, "Everything that was to be told is there."));
}

export async function page() {
  const s = await api("/status");
  const rows = (s.sources || []).map((p) => [p.source, badge(p.backfill ? "reading history" : "live", p.backfill ? "" : "on"), minute(p.at),
    `${Math.round(p.done_ratio * 100)} %`, count(p.n_series), count(p.n_points)]);
  const figures = [["Version", s.version], ["Active incidents", count(s.n_active)], ["Series followed", count(s.n_series)],
    ["Batches to judge", count(s.backlog)], ["Store", `${(s.store_bytes / 1e6).toFixed(1)} MB`], ["Event time", `${minute(s.now)} UTC`]];
  return { title: "Status", nodes: [
    el("div", { class: "pair" },
      el("section", { class: "panel" }, el("h1", {}, "Status"), el("dl", { class: "figures" }, figures.flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]))),
      el("section", { class: "panel" }, el("h1", {}, "Actions"), halting(s.halt))),
    el("section", { class: "panel wide" }, el("h1", {}, "Sources"), table("Sources", ["Source", "State", "Read up to (UTC)", "Done", "Series", "Points"], rows, "No source is polled.")),
    await chats(s.platforms), await keys()] };
}
