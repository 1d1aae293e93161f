// A card: its parts, its buttons, and the whole of an incident.
import { el, mark, button, clock } from "/assets/dom.js";
import { blocks as written } from "/assets/words.js";
import { chart, cite, cites } from "/assets/evidence.js";
import { offer } from "/assets/proposal.js";

/** Words whose `[n]` cites the n-th piece of evidence. */
function words(text, evidence) {
  const cited = (n) => evidence?.[n - 1] && cite(n, evidence[n - 1]);
  const nodes = written(text, cited, 3);
  // Evidence that the words do not point to stands at their end.
  if (evidence?.length && !/\[\d+\]/.test(text)) nodes.at(-1)?.append(" ", ...cites(evidence));
  return nodes;
}

function block(b, version) {
  const heading = b.heading ? el("h2", {}, b.heading) : null;
  switch (b.block) {
    case "text": return [heading, ...words(b.text, b.evidence)];
    case "list": return [heading, el("ul", {}, b.items.map((i) => el("li", {}, i.text, " ", cites(i.evidence))))];
    case "fields": return [heading, el("dl", {}, b.fields.flatMap((f) => [el("dt", {}, f.label), el("dd", {}, f.value)]))];
    case "chart": return [chart(b.evidence, b.alt, version)];
    default: return [];
  }
}

/** The parts of a card; `version` changes when its charts have to be read again. */
export const blocks = (c, version) => c.blocks.flatMap((b) => block(b, version));

/** Buttons in a row. Each is known by what it does, so that the focus never comes to lie on another. */
export const row = (buttons, press, more) => (buttons.length || more ? el("div", { class: "buttons", "data-key": "buttons" },
  buttons.map((b) => button(b.label, () => press(b), { class: b.style, "data-verb": b.verb, "data-key": `${b.verb} ${b.subject}` })), more) : null);

/** What else can be asked for; Tab reaches it, Enter opens it. It closes once something is chosen. */
export const menu = (choices, press) => (choices?.length ? el("details", { class: "menu" }, el("summary", {}, "More…"),
  el("div", {}, choices.map((b) => button(b.label, (event) => {
    const own = event.target.closest("details");
    own.open = false;
    // What is opened gives the focus back to what can be seen.
    own.querySelector("summary").focus();
    press(b);
  }, { "data-verb": b.verb })))) : null);

/** The card of an incident. `press` is told of its buttons; `more` stands beside them. */
export function card(found, press, more) {
  const root = found.messages.find((m) => !m.thread && m.content.content === "card");
  if (!root) return el("p", { class: "empty" }, "The card of this incident is being written.");
  const c = root.content.card;
  // A chart of an incident that goes on is read again twice a minute of event time.
  const newest = found.incident.resolved_at || found.incident.updated_at;
  const version = `${newest}-${found.runs.length}-${clock(root.edited_at || root.at).slice(0, 7)}`;
  const offers = found.proposals.filter((p) => p.state === "open").map((p) => [p, c.buttons.filter((b) => b.subject === p.id)]).filter(([, b]) => b.length)
    .sort(([a], [b]) => (b.worth || 0) - (a.worth || 0));
  const own = c.buttons.filter((b) => !offers.some(([p]) => p.id === b.subject));
  return el("article", { class: "panel", id: "card", "aria-labelledby": "card-title" },
    el("h1", { id: "card-title" }, mark(c.mark), c.title), el("p", { class: "soft" }, c.context),
    // What is suggested stands below with its buttons.
    c.blocks.filter((b) => !(offers.length && b.heading === "Suggested")).flatMap((b) => block(b, version)),
    offers.length ? [el("h2", {}, "Suggested"), offers.map(([p, buttons]) => offer(p, buttons, press))] : null,
    row(own, press, [menu(c.menu?.filter((b) => !own.some((o) => o.verb === b.verb)), press), more]),
    el("p", { class: "soft small" }, c.footer));
}
