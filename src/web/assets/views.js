// One function for each view; each gives the nodes to show.
import { el, api, toast, draw, minute, time, entity } from "/assets/app.js";
import { thread, answer, why } from "/assets/card.js";

const asked = new Map();
const state = { open: "open", acknowledged: "taken", mitigating: "taken", monitoring: "watching" };

function askForm(incident, key) {
  const say = el("input", { id: "say", placeholder: "Ask: why is checkout slow? what changed?", autocomplete: "off", "aria-label": "Question" });
  return el("form", {
    class: "ask",
    onsubmit: async (event) => {
      event.preventDefault();
      const question = say.value.trim();
      if (!question) return;
      say.value = "";
      say.disabled = true;
      const list = asked.get(key) || asked.set(key, []).get(key);
      list.push(el("div", { class: "message mine" }, question));
      try { list.push(answer(await api("/ask", { question, incident }))); } catch (error) { toast(error.message); }
      say.disabled = false;
      await draw(true);
      document.querySelector(".thread,#view")?.scrollTo({ top: 1e9 });
      document.getElementById("say")?.focus();
    },
  }, say, el("button", { class: "primary" }, "Ask"));
}

export async function incidents(id) {
  const { incidents: all } = await api("/incidents");
  const active = (i) => !["resolved", "reviewed", "merged"].includes(i.state);
  all.sort((a, b) => active(b) - active(a) || b.opened_at.localeCompare(a.opened_at));
  const shown = all.find((i) => i.id === id) || all[0];
  const side = el("section", { class: "side", "aria-label": "Incidents" }, all.map((i) => el("a", {
    class: i.id === shown?.id ? "item here" : "item", href: `#/incidents/${i.id}`,
  }, el("div", { class: "title" }, el("span", { class: `mark ${active(i) ? (i.state === "open" && i.severity === "critical" ? "critical" : state[i.state]) : "over"}` }), `#${i.number} ${i.title}`),
  el("div", { class: "soft small" }, `${i.severity} · ${i.state} · ${minute(i.onset_at)} UTC`))));
  if (!shown) return { nodes: [el("p", { class: "empty" }, "No incident yet. Telemetry is being read and judged; the first one appears here by itself.")] };
  const found = await api(`/incidents/${shown.id}`);
  const right = el("section", { class: "thread", "aria-label": "Incident" }, ...thread(found, asked.get(shown.id) || []), askForm(shown.id, shown.id));
  return { split: true, nodes: [side, right] };
}

export async function ask() {
  const suggestions = ["What is the status?", "What changed in the last 2 hours?", "Why is checkout slow?", "Show errors of orders", "Compare orders with yesterday", "Have we seen this before?", "What should I do?"];
  return { nodes: [el("section", {}, ...(asked.get("") || []),
    el("p", { class: "soft" }, "Answers come from stored telemetry and runbooks; every figure is cited."),
    el("div", { class: "buttons" }, suggestions.map((s) => el("button", { onclick: () => { const say = document.getElementById("say"); say.value = s; say.form.requestSubmit(); } }, s))),
    askForm(undefined, ""))] };
}

function table(heads, rows, none) {
  if (!rows.length) return el("p", { class: "empty" }, none);
  return el("table", {}, el("thead", {}, el("tr", {}, heads.map((h) => el("th", {}, h)))),
    el("tbody", {}, rows.map((r) => el("tr", {}, r.map((c) => el("td", {}, c ?? ""))))));
}

export async function services() {
  const found = await api("/services");
  const names = [...new Set(found.series.map((s) => s.entity).concat(found.edges.flatMap((e) => [e.from, e.to])))].sort();
  const rows = names.map((n) => {
    const firing = found.firing.filter((f) => f.entity === n);
    return [el("span", {}, el("span", { class: `mark ${firing.length ? "critical" : "over"}` }), entity(n)), n.split("=")[0],
      found.edges.filter((e) => e.from === n && e.kind === "calls").map((e) => entity(e.to)).join(", "),
      found.edges.filter((e) => e.to === n && e.kind === "calls").map((e) => entity(e.from)).join(", "),
      String(found.series.filter((s) => s.entity === n).length), firing.map((f) => f.name).join(", ")];
  });
  return { nodes: [table(["Entity", "Kind", "Calls", "Called by", "Series", "Firing"], rows, "Nothing is known yet.")] };
}

export async function alerts() {
  const { alerts: all } = await api("/alerts?limit=300");
  const rows = all.map((a) => [time(a.starts_at), a.status, a.severity, entity(a.entity), a.annotations.summary || a.labels.alertname,
    a.suppressed ? `held back by ${a.suppressed.by}: ${a.suppressed.reason}` : a.decision || "", el("button", { onclick: () => why(a.id) }, "Why?")]);
  return { nodes: [table(["Since", "Status", "Severity", "Entity", "Alert", "Decision", ""], rows, "No alert yet.")] };
}

export async function changes() {
  const { changes: all } = await api("/changes?limit=200");
  const rows = all.map((c) => [`${minute(c.at)} UTC`, c.kind, entity(c.entity), c.title, c.version || "", c.author || "", c.source]);
  return { nodes: [table(["When", "Kind", "Entity", "Change", "Version", "Author", "Source"], rows, "No change was told yet.")] };
}

export async function silences() {
  const { silences: all } = await api("/silences");
  const end = async (id) => { try { await api(`/silences/${id}`, undefined, "DELETE"); } catch (e) { toast(e.message); } draw(true); };
  const rows = all.map((s) => [s.matchers.join(", "), `${minute(s.starts_at)} to ${minute(s.ends_at)} UTC`, s.author.name, s.reason, el("button", { onclick: () => end(s.id) }, "End now")]);
  return { nodes: [table(["Matchers", "In force", "Author", "Reason", ""], rows, "Nothing is silenced.")] };
}

export async function audit() {
  const { records } = await api("/audit?limit=200");
  const check = async () => {
    const v = await api("/audit/verify");
    toast(v.whole ? `The chain is whole: ${v.n} records, last hash ${v.hash.slice(0, 16)}…` : v.reason);
  };
  const rows = records.map((r) => [String(r.seq), minute(r.at), r.actor.name, r.action, r.subject, JSON.stringify(r.detail).slice(0, 300)]);
  return { nodes: [el("div", { class: "buttons" }, el("button", { class: "primary", id: "verify", onclick: check }, "Verify the chain")),
    table(["#", "When", "Who", "What", "Subject", "Detail"], rows, "Nothing was decided yet.")] };
}

export async function status() {
  const s = await api("/status");
  const rows = (s.sources || []).map((p) => [p.source, p.backfill ? "reading history" : "live", minute(p.at), `${Math.round(p.done_ratio * 100)} %`, String(p.n_series), String(p.n_points)]);
  return { nodes: [el("div", { class: "panel" }, el("h1", {}, "Status"),
    el("dl", {}, el("dt", {}, "Series followed"), el("dd", {}, String(s.n_series ?? "")), el("dt", {}, "Batches waiting"), el("dd", {}, String(s.backlog)),
      el("dt", {}, "Store"), el("dd", {}, `${(s.store_bytes / 1e6).toFixed(1)} MB`))),
  table(["Source", "State", "Read up to", "Done", "Series", "Points"], rows, "No source is polled.")] };
}
