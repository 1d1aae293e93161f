// The console's frame: routes, live updates, requests, dialogs. Text from outside is only ever set
// as textContent.
import * as views from "/assets/views.js";

/** Makes an element. `props` are properties, `class` and `on…` handlers; children are nodes or text. */
export function el(name, props = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return node;
}

/** A request to the API; what was refused is thrown with its sentence. */
export async function api(path, body, method) {
  const options = { headers: { "X-Nightjar": "1" } };
  if (body !== undefined) {
    options.method = method || "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  } else if (method) options.method = method;
  const response = await fetch("/api/v1" + path, options);
  const text = await response.text();
  let value = {};
  try { value = text ? JSON.parse(text) : {}; } catch { value = {}; }
  if (!response.ok) throw new Error(value.error?.message || `The server answered ${response.status}.`);
  return value;
}

export function toast(text) {
  const note = el("div", {}, text);
  document.getElementById("toast").append(note);
  setTimeout(() => note.remove(), 8000);
}

/** Opens the dialog with content; gives a function that closes it. */
export function open(...content) {
  const dialog = document.getElementById("dialog");
  dialog.replaceChildren(...content);
  dialog.showModal();
  return () => dialog.close();
}

export const time = (text) => (text ? text.slice(11, 19) : "");
export const minute = (text) => (text ? `${text.slice(0, 10)} ${text.slice(11, 16)}` : "");
export const entity = (text) => (text || "").replace(/^[^=]+=/, "");

const routes = {
  incidents: views.incidents, ask: views.ask, services: views.services, alerts: views.alerts,
  changes: views.changes, silences: views.silences, audit: views.audit, status: views.status,
};
let drawing = 0;

/** Draws the view that the address names; `quiet` keeps what the person has typed and scrolled. */
export async function draw(quiet) {
  const [name, id] = (location.hash.replace(/^#\//, "") || "incidents").split("/");
  const view = routes[name] || routes.incidents;
  for (const a of document.querySelectorAll("nav a")) {
    a.classList.toggle("here", a.getAttribute("href") === `#/${name}`);
  }
  const mine = ++drawing;
  const main = document.getElementById("view");
  try {
    const made = await view(id, quiet);
    if (mine !== drawing || !made) return;
    const scrolls = quiet ? [...main.querySelectorAll(".side,.thread")].map((n) => n.scrollTop) : [];
    const typed = quiet ? main.querySelector("#say")?.value : "";
    const focused = quiet && document.activeElement?.id === "say";
    main.className = made.split ? "split" : "";
    main.replaceChildren(...made.nodes);
    main.querySelectorAll(".side,.thread").forEach((n, i) => { n.scrollTop = scrolls[i] || 0; });
    const say = main.querySelector("#say");
    if (say && typed) say.value = typed;
    if (say && focused) say.focus();
  } catch (error) {
    if (!quiet) main.replaceChildren(el("p", { class: "empty" }, error.message));
  }
}

async function clock() {
  try {
    const status = await api("/status");
    const speed = status.speed && status.speed !== 1 ? ` · demo clock ×${status.speed}` : "";
    document.getElementById("clock").textContent = `${minute(status.now)} UTC${speed}`;
  } catch { /* the next round tells */ }
}

let due = null;
function live() {
  const source = new EventSource("/api/v1/events");
  source.onmessage = () => {
    // Many doorbells at once are one redraw.
    due ??= setTimeout(() => { due = null; draw(true); }, 400);
  };
}

addEventListener("hashchange", () => draw(false));
draw(false);
clock();
setInterval(clock, 5000);
live();
