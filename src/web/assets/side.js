// What stands beside an incident: channels, and the incidents that are told in the one chosen.
import { el, mark, button, minute, n_of } from "/assets/dom.js";
import { press } from "/assets/press.js";

const WORKED_ON = ["open", "acknowledged", "mitigating", "monitoring"];

/** Whether people still work on it. */
export const active = (i) => WORKED_ON.includes(i.state);

const dot = (i) => {
  if (!active(i)) return "over";
  if (i.state === "open") return i.severity === "critical" ? "critical" : "open";
  return i.state === "monitoring" ? "watching" : "taken";
};

/** The address of a channel's incidents; without a channel, of all. */
export const home = (channel) => (channel ? `#/channels/${encodeURIComponent(channel)}` : "#/incidents");

function channelList(channels, here) {
  const link = (name, label, n, topic) => el("a", {
    class: "channel", href: home(name), title: topic || null, "data-key": `channel-${name}`, "aria-current": name === here ? "true" : null,
  }, el("span", { class: "name" }, label), n ? el("span", { class: "n", "aria-label": n_of(n, "active incident") }, String(n)) : null);
  const n = channels.reduce((sum, c) => sum + c.n_active, 0);
  return el("nav", { class: "channels", "data-key": "channels", "aria-label": "Channels" }, link("", "All", n, "Incidents of every channel"),
    channels.map((c) => link(c.name, `# ${c.name}`, c.n_active, c.topic)));
}

const item = (i, base, here) => el("a", {
  class: "item", href: `${base}/${i.id}`, "data-key": i.id, "aria-current": here ? "true" : null,
}, el("div", { class: "title" }, mark(dot(i)), `#${i.number} ${i.title}`),
el("div", { class: "soft small" }, `${i.priority ? `P${i.priority.level} ${i.priority.attention} · ` : ""}${i.severity} · ${i.state} · ${minute(i.onset_at)} UTC${i.owner ? ` · ${i.owner.name}` : ""}`));

// What is shown of the list: a kind such as `category errors`, or all.
let kind = "";

const kinds = (i) => [i.priority && `attention ${i.priority.attention}`, ...Object.entries(i.taxonomy || {}).map(([k, v]) => `${k} ${v}`)].filter(Boolean);

/** A choice among the kinds of incidents that there are. */
function filter(incidents) {
  const all = [...new Set([...incidents.flatMap(kinds), kind].filter(Boolean))].sort();
  if (all.length < 2) return null;
  const choose = (event) => { kind = event.target.value; document.dispatchEvent(new CustomEvent("stale")); };
  return el("label", { class: "soft small kinds", "data-key": "kinds" }, "Show ", el("select", { id: "kinds", onchange: choose },
    el("option", { value: "" }, "all incidents"), all.map((k) => el("option", { value: k, selected: k === kind }, k.replaceAll("_", " ").replace(" ", ": ")))));
}

/** Channels above, incidents below: those at work first. */
export function side({ channels, incidents, channel, shown, blind }) {
  const chosen = incidents.filter((i) => !kind || kinds(i).includes(kind));
  const [now, before] = [chosen.filter(active), chosen.filter((i) => !active(i))];
  const base = home(channel);
  const group = (title, list, none) => [el("h2", {}, title),
    list.length ? list.map((i) => item(i, base, i.id === shown)) : el("p", { class: "soft small" }, none)];
  const topic = channels.find((c) => c.name === channel)?.topic;
  return el("div", { class: "side", "data-key": "side" }, channelList(channels, channel),
    filter(incidents),
    el("nav", { "data-key": "list", "aria-label": "Incidents" }, topic ? el("p", { class: "soft small topic" }, topic) : null,
      group("Now", now, channel ? "No incident here is worked on." : blind.length ? `Nothing is wrong that can be seen; blind on ${blind.length} ${blind.length === 1 ? "entity" : "entities"}.` : "Nothing is wrong that is known."), group("Before", before, "None yet.")),
    el("div", { class: "buttons", "data-key": "declare" }, button("Open an incident…", () => press({ verb: "declare", subject: "none" }), { class: "quiet", "data-verb": "declare" })));
}
