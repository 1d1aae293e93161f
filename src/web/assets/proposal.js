// Proposals and runs: what is offered, what was decided, what was done and what it did.
import { el, badge, button, minute, entity, n_of } from "/assets/dom.js";

/** One offered action with the buttons that the card gives it. */
export function offer(p, buttons, press) {
  const have = p.decisions.length;
  // The number tells buttons of a chat apart; here they stand with what they are about.
  const label = (b) => b.label.replace(/ \d+/, "");
  return el("section", { class: "offer", "data-key": p.id, "aria-label": p.title },
    el("h3", {}, p.title), el("p", {}, p.expected_effect),
    el("p", { class: "small" }, badge(`risk ${p.risk}`, `risk-${p.risk}`), p.rollback_of || p.past.startsWith("Not tried") ? null : badge(`expected to help in ${Math.round(p.chance * 100)} % of cases`),
      p.past ? badge(p.past) : null,
      p.requires.n_approvals > 1 ? badge(`${have} of ${p.requires.n_approvals} approvals`) : null,
      p.rollback_of ? badge("the way back") : null, el("span", { class: "soft" }, ` open until ${minute(p.expires_at)} UTC`)),
    el("div", { class: "buttons" }, buttons.map((b) => button(label(b), () => press(b), { class: b.style, "data-verb": b.verb, "data-key": `${b.verb} ${b.subject}` }))));
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
