// The console's frame: which page the address names, live updates, who is logged in.
import { el, morphChildren, minute, button } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { toast } from "/assets/form.js";
import * as incident from "/assets/incident.js";
import * as asking from "/assets/ask.js";
import * as detectors from "/assets/detectors.js";
import * as services from "/assets/services.js";
import * as objectives from "/assets/objectives.js";
import * as held from "/assets/held.js";
import * as lists from "/assets/lists.js";
import * as runbooks from "/assets/runbooks.js";
import * as audit from "/assets/audit.js";
import * as status from "/assets/status.js";

// Each gives the nodes of its page and may say by `wants` which events it must be redrawn for.
const pages = {
  incidents: incident.page, channels: incident.channel, ask: asking.page, services: services.page, objectives: objectives.page, alerts: lists.alerts,
  changes: lists.changes, silences: lists.silences, held: held.page, runbooks: runbooks.page, audit: audit.page,
  status: status.page, detectors: detectors.page, why: lists.why,
};

const main = () => document.getElementById("view");
const plain = (text) => {
  try { return decodeURIComponent(text); } catch { return text; }
};
const place = () => {
  const parts = location.hash.replace(/^#\//, "").split("/").map(plain);
  return { name: pages[parts[0]] ? parts[0] : "incidents", parts: parts.slice(1) };
};

let drawing = 0;
// The address that is drawn, and the page in it.
let shown = "";
let named = "";
// What is drawn shows nothing that events tell of.
let still = false;
// The redraw that is under way.
let busy = Promise.resolve();

// Charts that were brought to their newest end; from there on they are where a person left them.
const ended = new WeakSet();

const hidden = (node) => !node || node === document.body || !node.getClientRects().length;

/** Draws the page that the address names; a page that is drawn again keeps what a person does. */
async function draw() {
  const mine = ++drawing;
  const { name, parts } = place();
  const page = [name, ...parts].join("/");
  const view = main();
  if (page !== shown) view.setAttribute("aria-busy", "true");
  let made;
  try {
    made = await pages[name](...parts);
  } catch (error) {
    // What was read before the bot went away stays; the banner says so.
    if (error.away) away(error.message);
    if (error.away && page === shown) return;
    made = { nodes: [el("p", { class: "empty", role: "alert" }, error.message)], failed: true };
  }
  if (mine !== drawing) return;
  view.removeAttribute("aria-busy");
  for (const a of document.querySelectorAll("header nav a")) {
    if (a.getAttribute("href") === `#/${made.nav || name}`) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  view.className = made.layout || "";
  const nodes = made.nodes.flat().filter(Boolean);
  const [kin, fresh] = [named === (made.nav || name), page !== shown];
  if (kin) morphChildren(view, nodes);
  else view.replaceChildren(...nodes);
  // Whoever goes through a list stays in it.
  const stays = kin && document.activeElement?.closest(".side, .tabs") && !hidden(document.activeElement);
  if (fresh && shown && !stays) view.focus({ preventScroll: true });
  if (fresh) view.scrollTop = 0;
  [shown, named] = made.failed ? ["", ""] : [page, made.nav || name];
  still = made.still === true;
  document.title = made.title ? `${made.title} · nightjar` : "nightjar";
  if (fresh) for (const here of document.querySelectorAll("header nav [aria-current], .tabs [aria-current], .channels [aria-current]")) here.scrollIntoView({ block: "nearest", inline: "nearest" });
  for (const frame of view.querySelectorAll(".frame")) {
    if (!ended.has(frame)) frame.scrollLeft = frame.scrollWidth;
    ended.add(frame);
  }
  made.after?.(view);
}

let due = false;
/** Many doorbells at once are one redraw, and the next waits for the one before: a storm of events
 * on a slow line neither piles up requests nor keeps the page from being drawn. */
async function soon() {
  if (due || still) return;
  due = true;
  await new Promise((done) => setTimeout(done, 300));
  await busy;
  due = false;
  busy = draw();
}

// Since when the bot does not answer; what is shown is from before.
let since = null;

function away(why) {
  const banner = document.getElementById("away");
  since ??= new Date();
  banner.hidden = false;
  banner.textContent = `${why} What you see is from before ${since.toLocaleTimeString([], { hour12: false })}; it is read again as soon as nightjar answers.`;
  document.body.classList.add("away");
}

function back() {
  if (!since) return;
  since = null;
  document.getElementById("away").hidden = true;
  document.body.classList.remove("away");
  toast("nightjar answers again.");
  soon();
}

/** Marks the page where one reads which chat platform is not reached or refuses something. */
function ailing(platforms) {
  const n = platforms.filter((p) => !p.up || p.n_refused).length;
  const link = document.querySelector('header nav a[href="#/status"]');
  link.replaceChildren("Status", ...(n ? [el("span", { class: "n", "aria-label": `${n} chat platform${n === 1 ? "" : "s"} with trouble` }, String(n))] : []));
}

let ticking = 0;
let timer = 0;
/** The clock of events; also the one who notices that the bot is away, and that it is back. */
async function clock() {
  const mine = ++ticking;
  clearTimeout(timer);
  const line = document.getElementById("clock");
  try {
    const now = await api("/status");
    if (mine !== ticking) return;
    back();
    line.textContent = `${minute(now.now).slice(5)} UTC${now.speed && now.speed !== 1 ? ` ×${now.speed}` : ""}`;
    line.title = now.speed && now.speed !== 1 ? `Event time; it runs ${now.speed} times as fast as real time.` : "Event time";
    line.title = `${minute(now.now)} UTC. ${line.title}`;
    ailing(now.platforms || []);
    const banner = document.getElementById("halted");
    banner.hidden = !now.halt;
    banner.textContent = now.halt ? `All actions are halted by ${now.halt.by.name}: ${now.halt.reason}` : "";
  } catch (error) {
    if (mine !== ticking) return;
    // A session that has ended is not to be waited for.
    if (error.status === 401) return location.reload();
    away(error.message);
  }
  timer = setTimeout(clock, since ? 2000 : 5000);
}

function live() {
  const source = new EventSource("/api/v1/events");
  source.onmessage = soon;
  // Whatever was missed while the stream was down is read again.
  source.onopen = soon;
  source.onerror = () => {
    clock();
    // A browser gives up for good where the answer was an error.
    if (source.readyState === EventSource.CLOSED) setTimeout(live, 5000);
  };
}

/** Light, dark, or as the system says. */
function theme(next) {
  if (next) localStorage.setItem("theme", next);
  const chosen = localStorage.getItem("theme") || "auto";
  document.documentElement.dataset.theme = chosen;
  return chosen;
}

function header() {
  const names = { auto: "light", light: "dark", dark: "auto" };
  const toggle = document.getElementById("theme");
  const label = () => {
    toggle.textContent = `◐ ${theme()}`;
    toggle.setAttribute("aria-label", `Theme: ${theme()}`);
  };
  toggle.onclick = () => { theme(names[theme()]); label(); draw(); };
  label();
  // The address names the page: the link may not change it.
  document.querySelector(".skip").onclick = (event) => { event.preventDefault(); main().focus(); };
  document.getElementById("logout").onclick = async () => {
    try { await api("/logout", {}); location.reload(); } catch (error) { toast(error.message); }
  };
}

/** For whoever has no session: a token opens one. */
function login(why) {
  const token = el("input", { id: "token", type: "password", autocomplete: "off", required: true });
  const refused = el("p", { class: "refused", role: "alert" });
  const send = async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ token: token.value.trim() });
    const answer = await fetch("/login", { method: "POST", headers: { "Content-Type": "application/json", "X-Nightjar": "1" }, body });
    if (answer.ok) location.reload();
    else refused.textContent = answer.status === 401 ? "This token is not known or has expired." : `The server answered ${answer.status}; wait a moment and try again.`;
  };
  return [el("form", { class: "panel login", onsubmit: send }, el("h1", {}, "Log in"), el("p", {}, why),
    el("p", { class: "field" }, el("label", { for: "token" }, "API token, or the token of a login link"), token), refused,
    el("div", { class: "buttons" }, el("button", { type: "submit", class: "primary" }, "Log in"), button("Try again", () => location.reload())))];
}

async function start() {
  header();
  try {
    const me = await api("/me");
    document.getElementById("me").textContent = `${me.name} (${me.role})`;
  } catch (error) {
    main().replaceChildren(...login(error.message));
    document.getElementById("token").focus();
    return;
  }
  addEventListener("hashchange", draw);
  document.addEventListener("stale", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return event.target.form?.requestSubmit();
    const typing = event.target.closest?.("input,textarea,select,dialog");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
    const say = document.getElementById("say");
    if (say) { event.preventDefault(); say.focus(); }
  });
  await draw();
  clock();
  live();
}

start();
