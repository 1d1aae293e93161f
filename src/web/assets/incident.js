// One incident beside the list: card, thread, story, evidence, alerts, actions.
import { el, state, badge, button, minute, near, entity, n_of, table } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { card } from "/assets/card.js";
import { thread } from "/assets/message.js";
import { side, active, home } from "/assets/side.js";
import { chart, cites, bar } from "/assets/evidence.js";
import { past, run } from "/assets/proposal.js";
import { press } from "/assets/press.js";
import { split, review, judge } from "/assets/actions.js";
import { blocks } from "/assets/grounds.js";
import { box, pending, follow } from "/assets/ask.js";

const TABS = { thread: "Thread", story: "Timeline", evidence: "Evidence", grounds: "Why flagged", alerts: "Alerts", actions: "Actions" };

function tabs(id, here, found, channel) {
  const n = { story: found.timeline.length, evidence: found.diagnosis?.evidence.length, alerts: found.n_alerts, actions: found.proposals.length };
  return el("nav", { class: "tabs", "aria-label": "Parts of the incident" }, Object.entries(TABS).map(([key, label]) => el("a", {
    href: `${home(channel)}/${id}${key === "thread" ? "" : `/${key}`}`, "aria-current": key === here ? "page" : null,
  }, label, n[key] ? el("span", { class: "n" }, String(n[key])) : null)));
}

const dated = (text, i) => el("time", { datetime: text, title: `${minute(text)} UTC` }, near(text, i.opened_at));

const went = (t) => (t.helped ? "helped" : t.worse ? "made it worse" : "did not help");

/** An earlier incident like this one, with what the likeness is made of and what was tried. */
const before = (s) => el("li", {}, el("a", { href: `#/incidents/${s.incident}` }, s.title),
  ` (${Math.round(s.similarity * 100)} % alike; ${s.fixed_by ? `fixed by ${s.fixed_by}` : "no fix recorded"})`,
  el("details", {}, el("summary", {}, "How it is alike, and what was tried"),
    el("p", { class: "soft small" }, s.parts.map((p) => `${p.name} ${Math.round(p.likeness * 100)} %`).join(", ")),
    el("ul", {}, s.tried.map((t) => el("li", {}, `${t.action} on ${entity(t.target)}: ${went(t)}`)))));

/** A time, with its day where it takes long. */
const hour = (text, lag) => (lag?.high_ms >= 43_200_000 ? `${text.slice(0, 10)} ${text.slice(11, 16)}` : text.slice(11, 16));

const percent = (share) => `${Math.round(share * 100)} %`;

/** Who may follow if it goes on: how likely, when, and what backs it. */
function follows(all) {
  const when = (f) => (f.overdue ? "would have by now" : f.expected_at && f.expected_between
    ? [`about ${hour(f.expected_at, f.lag)} UTC`, el("div", { class: "soft small" }, `${hour(f.expected_between[0], f.lag)} to ${hour(f.expected_between[1], f.lag)}`)] : "not known");
  const rows = all.map((f) => [entity(f.entity),
    f.chance ? el("div", {}, percent(f.chance.mean), el("span", { class: "soft small" }, ` (${percent(f.chance.low)} to ${percent(f.chance.high)})`), bar(f.chance.mean, `chance ${percent(f.chance.mean)}`)) : "not known",
    el("div", {}, when(f)), f.because]);
  return [el("h2", {}, "Who may follow"), table("Who may follow if it goes on", ["Service", "Chance (80 % interval)", "When", "What backs it"], rows, "")];
}

/** Whom it touches and what is ahead. */
function reached(r) {
  const groups = [["Users", r?.users], ["Business", r?.business], ["If it goes on", r?.forecasts]].filter(([, all]) => all?.length);
  return groups.length ? el("section", { class: "panel" }, el("h1", {}, "Whom it touches"),
    groups.map(([name, all]) => [el("h2", {}, name), el("ul", {}, all.map((text) => el("li", { "data-key": text }, text)))]).flat(),
    r.followers?.length ? follows(r.followers) : null) : null;
}

const parts = {
  thread: (found) => {
    const i = found.incident;
    // Whoever sees it after it ended by itself may still say what it was.
    const unjudged = i.state === "resolved" && !i.closed_by;
    const more = i.state === "resolved" ? [unjudged ? [button("It was real…", () => judge(i, true)), button("Not an incident…", () => judge(i, false))] : null, button("Review…", () => review(i))].flat().filter(Boolean) : null;
    return [el("div", { class: "messages" }, card(found, press, more), thread(found.messages), pending(i.id))];
  },
  story: (found) => {
    const i = found.incident;
    const entries = [...found.timeline].sort((a, b) => a.at.localeCompare(b.at));
    const kind = i.taxonomy ? el("p", {}, badge(i.taxonomy.category), " ", badge(`set off by ${i.taxonomy.trigger.replaceAll("_", " ")}`), " ", badge(`in a ${i.taxonomy.component}`)) : null;
    const weight = i.priority ? el("details", {}, el("summary", {}, `P${i.priority.level} ${i.priority.attention}: ${i.priority.points} points, ${i.priority.page_from} page`),
      el("ul", {}, i.priority.parts.map((p) => el("li", {}, badge(p.name), ` ${p.why} `, el("span", { class: "soft" }, `(${p.points >= 0 ? "+" : ""}${p.points})`))))) : null;
    const untold = i.untold ? el("p", { class: "bad" }, i.untold.reason) : null;
    return [untold || weight || kind ? el("section", { class: "panel", id: "kind" }, el("h1", {}, "Priority and kind"), untold, weight, kind) : null,
      el("section", { class: "panel" }, el("h1", {}, "Timeline"), el("ol", { class: "story" },
      entries.map((e) => el("li", { "data-key": e.id, class: e.kind }, dated(e.at, i), badge(e.kind), el("span", {}, e.text,
        e.actor.via === "nightjar" ? "" : el("span", { class: "soft" }, ` (${e.actor.name})`))))),
    el("div", { class: "buttons" }, button("Write a note…", () => press({ verb: "note", subject: found.incident.id }))))];
  },
  grounds: (found) => blocks(found.claims),
  evidence: (found) => {
    const d = found.diagnosis;
    if (!d) return [el("p", { class: "empty" }, "Nothing was gathered yet.")];
    return [el("section", { class: "panel" }, el("h1", {}, "Possible causes"),
      d.first_look ? el("p", {}, "A first look; the next follows within half a minute.") : null,
      d.conclusive ? null : el("p", {}, "Inconclusive: nothing stands out."),
      el("ol", { class: "causes" }, d.hypotheses.map((h) => el("li", { "data-key": h.id },
        el("p", {}, h.statement, " ", el("strong", {}, `${Math.round(h.confidence * 100)} %`)), bar(h.confidence, `confidence ${Math.round(h.confidence * 100)} %`),
        h.impact_chain.length > 1 ? el("p", { class: "soft small" }, `Impact: ${h.impact_chain.map(entity).join(" → ")}`) : null,
        el("details", {}, el("summary", {}, "What this rests on"), el("ul", {}, h.parts.map((p) => el("li", {},
          badge(p.name), ` ${p.why} `, el("span", { class: "soft" }, `(${p.contribution >= 0 ? "+" : ""}${p.contribution.toFixed(2)})`), " ", cites(p.evidence))))))))),
    d.steps?.length ? el("section", { class: "panel" }, el("h1", {}, d.conclusive ? "How it came about" : "How it would have come about, if the first is right"), el("ol", { class: "story" },
      d.steps.map((s) => el("li", { "data-key": `${s.at} ${entity(s.entity)}` }, dated(s.at, found.incident), el("span", {}, `${s.text} `, cites(s.evidence)))))) : null,
    reached(d.reach),
    d.counterfactuals?.length ? el("section", { class: "panel" }, el("h1", {}, "What if"), el("p", { class: "soft small" }, "Each line: the ranking made anew without one piece of evidence."),
      el("ul", {}, d.counterfactuals.map((c) => el("li", { "data-key": c.without }, badge(c.part), ` ${c.text} `, cites(c.evidence))))) : null,
    d.charts.length ? el("section", { class: "panel" }, el("h1", {}, "Signals"), d.charts.map((id) => chart(id, "A signal of this incident", `${d.revision}-${found.runs.length}`))) : null,
    el("section", { class: "panel" }, el("h1", {}, "All evidence"), el("p", {}, cites(d.evidence)),
      d.gaps.length ? [el("h2", {}, "What could not be read"), el("ul", {}, d.gaps.map((g) => el("li", {}, `${g.what}: ${g.why}`)))] : null,
      d.runbooks.length ? [el("h2", {}, "Runbooks"), el("ul", {}, d.runbooks.map(([id, title]) => el("li", {}, el("a", { href: `#/runbooks/${encodeURIComponent(id)}` }, title))))] : null,
      d.similar.length ? [el("h2", {}, "Seen before"), el("ul", {}, d.similar.map(before))] : null)];
  },
  alerts: (found) => {
    const rows = found.alerts.map((a) => [dated(a.starts_at, found.incident), state(a), entity(a.entity),
      a.annotations.summary || a.labels.alertname || "", a.decision || "", button("Why?", () => press({ verb: "why", subject: a.id }), { class: "quiet" })]);
    return [el("section", { class: "panel wide" }, el("h1", {}, n_of(found.n_alerts, "alert")),
      table("Alerts of this incident", ["Since", "Status", "Entity", "Alert", "Decision", ""], rows, "It has no alert."),
      found.n_alerts > rows.length ? el("p", { class: "soft" }, `The first ${rows.length} are shown.`) : null,
      active(found.incident) && rows.length > 1 ? el("div", { class: "buttons" }, button("Split…", () => split(found.incident, found.alerts))) : null)];
  },
  actions: (found) => [el("section", { class: "panel" }, el("h1", {}, "Runs"),
    found.runs.length ? el("ul", { class: "plain" }, found.runs.map(run)) : el("p", { class: "soft" }, "Nothing was done."),
    el("h1", {}, "Proposals"), found.proposals.length ? el("ul", { class: "plain" }, found.proposals.map(past)) : el("p", { class: "soft" }, "Nothing was proposed."))],
};

/** Those at work first, then what is over, then what became part of another. */
const inOrder = (all) => {
  const merged = (i) => i.state === "merged";
  return all.sort((a, b) => active(b) - active(a) || merged(a) - merged(b) || b.opened_at.localeCompare(a.opened_at));
};

const nothing = (channel) => el("p", { class: "empty" }, channel ? `No incident stands in # ${channel} yet.`
  : "No incident yet. Telemetry is being read and judged; the first one appears here by itself.");

async function shown(id, part, channel) {
  const of = channel ? `&channel=${encodeURIComponent(channel)}` : "";
  const [{ incidents }, { channels }, { blind }] = await Promise.all([api(`/incidents?limit=200${of}`), api("/channels"), api("/status")]);
  const one = inOrder(incidents).find((i) => i.id === id) || (id ? { id } : incidents[0]);
  const beside = side({ channels, incidents, channel: channel || "", shown: one?.id, blind });
  if (!one) return { nav: "incidents", layout: "split", nodes: [beside, el("section", { class: "thread", "data-key": "none" }, nothing(channel))] };
  const found = await api(`/incidents/${one.id}`);
  const here = parts[part] ? part : "thread";
  if (here === "grounds") found.claims = await api(`/incidents/${one.id}/anomalies`);
  const root = found.messages.find((m) => !m.thread);
  return {
    title: `#${found.incident.number} ${found.incident.title}`, nav: "incidents", layout: id ? "split chosen" : "split", after: follow,
    nodes: [beside, el("section", { class: "thread", "data-key": `incident-${one.id}`, "aria-label": "Incident" },
      el("div", { class: "above" }, el("a", { class: "back", href: home(channel) }, `‹ ${channel ? `# ${channel}` : "All incidents"}`), tabs(one.id, here, found, channel),
        root && channels.length > 1 ? el("a", { class: "where", href: home(root.channel), title: "Where it is told" }, `# ${root.channel}`) : null),
      el("div", { class: "part", "data-key": here }, parts[here](found)), here === "thread" ? el("div", { class: "below" }, box(one.id, one.id)) : null)],
  };
}

export const page = (id, part) => shown(id, part);

/** The same for the incidents of one channel. */
export const channel = (name, id, part) => shown(id, part, name);
