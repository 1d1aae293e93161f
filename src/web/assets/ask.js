// Questions: the box, the answer while it is made, and the page for questions of no incident.
import { el, button, badge, n_of } from "/assets/dom.js";
import { ask as send } from "/assets/net.js";
import { toast } from "/assets/form.js";
import { blocks, inline } from "/assets/words.js";
import { cite } from "/assets/evidence.js";

const stale = () => document.dispatchEvent(new CustomEvent("stale"));

/** What is being asked now, by place: the question and what was heard of its answer so far. */
const making = new Map();
/** Questions of no incident with their answers; those of incidents are kept in their thread. */
const asked = [];

/** The answer while it is made. */
export function pending(place) {
  const now = making.get(place);
  if (!now) return null;
  return el("div", { class: "message", "data-key": "pending", "aria-live": "polite" },
    el("p", { class: "by" }, "nightjar is looking"),
    now.steps.length ? el("p", { class: "soft small" }, now.steps.at(-1)) : null,
    now.sentences.map((s) => el("p", {}, inline(s))));
}

async function put(question, incident, place) {
  const now = { question, steps: [], sentences: [] };
  making.set(place, now);
  wanted = 1;
  stale();
  try {
    const answer = await send(question, incident, (p) => {
      (p.kind === "sentence" ? now.sentences : now.steps).push(p.text);
      stale();
    });
    if (!incident) asked.push({ question, answer });
  } catch (error) {
    toast(error.message);
    return false;
  } finally {
    making.delete(place);
    stale();
  }
  return true;
}

/** The box. What could not be answered stays in it. */
export function box(place, incident, note) {
  const say = el("input", { id: "say", name: "say", maxlength: 2000, autocomplete: "off", placeholder: "why is checkout slow? what changed?" });
  return el("form", {
    class: "ask", "data-key": `ask-${place}`,
    onsubmit: async (event) => {
      event.preventDefault();
      const control = document.getElementById("say");
      const question = control.value.trim();
      if (!question || making.has(place)) return;
      control.value = "";
      if (!await put(question, incident, place)) control.value ||= question;
      document.getElementById("say")?.focus();
    },
  }, el("label", { for: "say", class: "hidden" }, "Question"), say,
  el("button", { type: "submit", class: "primary" }, "Ask"), note || null);
}

/** An answer with citations that open their evidence, what could not be read, and how it was made. */
function answer(a) {
  const cited = (n) => {
    const found = a.citations.find((c) => c.n === n);
    return found && cite(n, found.evidence);
  };
  const cost = a.model ? badge(a.model) : null;
  return [blocks(a.text, cited, 3),
    a.gaps.length ? el("ul", { class: "soft small" }, a.gaps.map((g) => el("li", {}, `Not known: ${g.what} (${g.why}).`))) : null,
    el("p", { class: "soft small" }, [...a.notes, `${n_of(a.citations.length, "citation")}.`].join(" "), cost)];
}

const SUGGESTED = ["What is the status?", "What changed in the last 2 hours?", "Why is checkout slow?", "Show errors of orders",
  "Compare orders with yesterday", "Have we seen this before?", "What should I do?"];

export async function page() {
  const now = making.get("");
  return {
    title: "Ask", layout: "talk", still: true,
    nodes: [el("section", { class: "messages", "aria-label": "Questions and answers" },
      el("h1", {}, "Ask"), el("p", { class: "soft" }, "Answers come from stored telemetry and runbooks; every figure is cited."),
      asked.flatMap((a, i) => [el("div", { class: "message mine", "data-key": `q${i}` }, a.question),
        el("div", { class: "message", "data-key": `a${i}` }, answer(a.answer))]),
      now ? el("div", { class: "message mine", "data-key": `q${asked.length}` }, now.question) : null, pending("")),
    el("div", { class: "below" },
      el("div", { class: "buttons" }, SUGGESTED.map((s) => button(s, () => put(s, undefined, ""), { class: "quiet" }))), box("", undefined))],
    after: follow,
  };
}

let wanted = 0;
/** After a question its words are brought to the top of what is shown, with the answer below. */
export function follow(view) {
  if (!wanted) return;
  if (!making.size) wanted -= 1;
  const own = view.querySelectorAll(".messages .message.mine");
  own[own.length - 1]?.scrollIntoView({ block: "start" });
}
