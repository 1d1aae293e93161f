// The console's frame: which page the address names, live updates, who is logged in.
import { el, morphChildren, minute, button } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { toast } from "/assets/form.js";
import * as incident from "/assets/incident.js";
import * as asking from "/assets/ask.js";
import * as services from "/assets/services.js";
import * as lists from "/assets/lists.js";
import * as runbooks from "/assets/runbooks.js";
import * as audit from "/assets/audit.js";
import * as status from "/assets/status.js";

// Each gives the nodes of its page and may say by `wants` which events it must be redrawn for.
const pages = {
  incidents: incident.page, ask: asking.page, services: services.page, alerts: lists.alerts,
  changes: lists.changes, silences: lists.silences, runbooks: runbooks.page, audit: audit.page,
  status: status.page, why: lists.why,
};

const main = () => document.getElementById("view");
const place = () => {
  const parts = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  return { name: pages[parts[0]] ? parts[0] : "incidents", parts: parts.slice(1) };
};

let drawing = 0;
let shown = "";
// What is drawn shows nothing that events tell of.
let still = false;
// The redraw that is under way.
let busy = Promise.resolve();

/** Draws the page that the address names; a page that is drawn again keeps what a person does. */
async function draw() {
  const mine = ++drawing;
  const { name, parts } = place();
  let made;
  try {
    made = await pages[name](...parts);
  } catch (error) {
    made = { nodes: [el("p", { class: "empty", role: "alert" }, error.message)] };
  }
  if (mine !== drawing) return;
  for (const a of document.querySelectorAll("nav a")) {
    if (a.getAttribute("href") === `#/${name}`) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  const view = main();
  view.className = made.layout || "";
  const nodes = made.nodes.flat().filter(Boolean);
  const page = `${name}/${parts[0] || ""}`;
  if (page === shown) morphChildren(view, nodes);
  else view.replaceChildren(...nodes);
  if (page !== shown && shown) view.focus({ preventScroll: true });
  if (page !== shown) view.scrollTop = 0;
  shown = page;
  still = made.still === true;
  document.title = made.title ? `${made.title} · nightjar` : "nightjar";
  for (const here of document.querySelectorAll("nav:not(.side) [aria-current]")) here.scrollIntoView({ block: "nearest", inline: "nearest" });
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

async function clock() {
  const line = document.getElementById("clock");
  try {
    const now = await api("/status");
    line.textContent = `${minute(now.now).slice(5)} UTC${now.speed && now.speed !== 1 ? ` ×${now.speed}` : ""}`;
    line.title = now.speed && now.speed !== 1 ? `Event time; it runs ${now.speed} times as fast as real time.` : "Event time";
    line.title = `${minute(now.now)} UTC. ${line.title}`;
    line.className = "";
    const banner = document.getElementById("halted");
    banner.hidden = !now.halt;
    banner.textContent = now.halt ? `All actions are halted by ${now.halt.by.name}: ${now.halt.reason}` : "";
  } catch (error) {
    line.textContent = error.message;
    line.className = "bad";
  }
}

function live() {
  const source = new EventSource("/api/v1/events");
  source.onmessage = soon;
  // Whatever was missed while the stream was down is read again.
  source.onopen = soon;
  // A browser gives up for good where the answer was an error.
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) setTimeout(live, 5000); };
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
    const typing = event.target.closest?.("input,textarea,select,dialog");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
    const say = document.getElementById("say");
    if (say) { event.preventDefault(); say.focus(); }
  });
  await draw();
  clock();
  setInterval(clock, 5000);
  live();
}

start();
