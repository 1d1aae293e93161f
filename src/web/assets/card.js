// An incident's card and thread.
import { el, api, toast, open, draw, time, minute, entity } from "/assets/app.js";
import { chart } from "/assets/chart.js";

const drawn = new Map();

/** Evidence by id; it never changes once stored. */
async function evidenceOf(id) {
  if (!drawn.has(id)) drawn.set(id, await api(`/evidence/${id}`));
  return drawn.get(id);
}

/** Opens one piece of evidence. */
export async function showEvidence(given) {
  const e = typeof given === "string" ? await evidenceOf(given) : given;
  const close = open(
    el("h1", {}, e.summary),
    e.finding.kind === "metric" ? chart(e, e.summary) : el("pre", {}, JSON.stringify(e.finding, null, 2)),
    el("dl", {}, el("dt", {}, "Query"), el("dd", {}, el("code", {}, e.query)), el("dt", {}, "Source"),
      el("dd", {}, e.source), el("dt", {}, "Range"), el("dd", {}, `${minute(e.since)} to ${minute(e.until)} UTC`)),
    el("div", { class: "buttons" }, el("button", { onclick: () => close() }, "Close")),
  );
}

function block(b) {
  const parts = b.heading ? [el("h2", {}, b.heading)] : [];
  const links = (ids) => (ids || []).map((id, i) => el("button", { class: "cite", onclick: () => showEvidence(id) }, `[${i + 1}]`));
  if (b.block === "text") parts.push(el("p", {}, b.text, " ", ...links(b.evidence)));
  if (b.block === "list") parts.push(el("ul", {}, b.items.map((i) => el("li", {}, i.text, " ", ...links(i.evidence)))));
  if (b.block === "fields") parts.push(el("dl", {}, b.fields.flatMap((f) => [el("dt", {}, f.label), el("dd", {}, f.value)])));
  if (b.block === "chart") {
    const place = el("div", { role: "img", "aria-label": b.alt });
    evidenceOf(b.evidence).then((e) => place.append(chart(e, b.alt)), () => place.append(b.alt));
    parts.push(place);
  }
  return parts;
}

async function act(path, body, done) {
  try {
    await api(path, body);
    toast(done);
  } catch (error) { toast(error.message); }
  draw(true);
}

/** The form behind Approve… and Schedule…: shows exactly what will be done. */
function decide(proposal, later) {
  const reason = el("input", { id: "reason", maxLength: 500 });
  const at = el("input", { type: "datetime-local", id: "at" });
  const state = Object.entries(proposal.plan.observed).map(([k, v]) => `${k} = ${v}`).join(", ");
  const form = el("form", {
    method: "dialog",
    onsubmit: async (event) => {
      event.preventDefault();
      event.submitter.disabled = true;
      const body = { digest: proposal.digest, reason: reason.value };
      if (later) body.at = new Date(at.value + "Z").toISOString();
      close();
      await act(`/proposals/${proposal.id}/${later ? "schedule" : "approve"}`, body, later ? "Scheduled." : "Approved.");
    },
  },
  el("h1", {}, proposal.title), el("p", {}, proposal.why),
  el("h2", {}, "Exactly this"), el("pre", {}, proposal.exact),
  el("dl", {}, el("dt", {}, "Target now"), el("dd", {}, state || "not observed"), el("dt", {}, "Risk"), el("dd", {}, proposal.risk),
    el("dt", {}, "Expected"), el("dd", {}, proposal.expected_effect), el("dt", {}, "Plan"), el("dd", {}, proposal.digest.slice(0, 16)),
    el("dt", {}, "Open until"), el("dd", {}, `${minute(proposal.expires_at)} UTC`)),
  later ? el("label", { htmlFor: "at" }, "When (UTC)", at) : null,
  el("label", { htmlFor: "reason" }, "Reason (kept in the audit log)", reason),
  el("div", { class: "buttons" }, el("button", { class: "primary", type: "submit", id: "confirm" }, later ? "Schedule" : "Approve"),
    el("button", { type: "button", onclick: () => close() }, "Cancel")));
  const close = open(form);
}

async function why(id) {
  try {
    const e = await api(`/why/${id}`);
    const close = open(el("h1", {}, e.title), el("ul", {}, e.lines.map((l) => el("li", {}, l))),
      el("div", { class: "buttons" }, el("button", { onclick: () => close() }, "Close")));
  } catch (error) { toast(error.message); }
}
export { why };

function silence(found) {
  const service = entity(found.incident.entities[0]);
  const matcher = el("input", { value: `service="${service}"` });
  const minutes = el("input", { type: "number", value: "60", min: "1" });
  const reason = el("input", { required: true });
  const form = el("form", {
    method: "dialog",
    onsubmit: (event) => {
      event.preventDefault();
      close();
      act("/silences", { matchers: [matcher.value], minutes: Number(minutes.value), reason: reason.value }, "Silenced.");
    },
  }, el("h1", {}, "Silence alerts"), el("label", {}, "Matcher", matcher), el("label", {}, "Minutes", minutes),
  el("label", {}, "Reason", reason), el("div", { class: "buttons" }, el("button", { class: "primary" }, "Silence"),
    el("button", { type: "button", onclick: () => close() }, "Cancel")));
  const close = open(form);
}

function press(button, found) {
  const id = button.subject;
  const proposal = found.proposals.find((p) => p.id === id);
  switch (button.verb) {
    case "approve": return decide(proposal, false);
    case "schedule": return decide(proposal, true);
    case "ignore": return act(`/proposals/${id}/ignore`, { digest: button.digest }, "Declined.");
    case "why": return why(id);
    case "silence": return silence(found);
    default: return act(`/incidents/${id}/${button.verb.replaceAll("_", "-")}`, {}, "Done.");
  }
}

/** An answer with citations that open their evidence. */
export function answer(a) {
  const parts = a.text.split(/(\[\d+\])/).map((part) => {
    const cited = part.match(/^\[(\d+)\]$/) && a.citations.find((c) => `[${c.n}]` === part);
    return cited ? el("button", { class: "cite", onclick: () => showEvidence(cited.evidence) }, part) : part.replaceAll("**", "");
  });
  const gaps = a.gaps.map((g) => `Not known: ${g.what} (${g.why}).`);
  return el("div", { class: "message" }, ...parts, el("p", { class: "soft small" }, [...gaps, ...a.notes].join(" ")));
}

/** The whole thread of an incident. */
export function thread(found, asked) {
  const root = found.messages.find((m) => !m.thread && m.content.content === "card");
  const nodes = [];
  if (root) {
    const card = root.content.card;
    nodes.push(el("article", { class: "panel", id: "card" },
      el("h1", {}, el("span", { class: `mark ${card.mark}` }), card.title), el("p", { class: "soft" }, card.context),
      ...card.blocks.flatMap(block),
      el("div", { class: "buttons" }, card.buttons.map((b) => el("button", { class: b.style, "data-verb": b.verb, onclick: () => press(b, found) }, b.label))),
      el("p", { class: "soft small" }, card.footer)));
  } else nodes.push(el("p", { class: "empty" }, "The card of this incident is being written."));
  const replies = found.messages.filter((m) => m.thread).sort((a, b) => a.at.localeCompare(b.at));
  for (const m of replies) {
    nodes.push(el("div", { class: m.author.via === "nightjar" ? "message" : "message mine" },
      m.content.content === "text" ? m.content.text : m.content.card?.title || ""));
  }
  return [...nodes, ...asked];
}
export { time };
