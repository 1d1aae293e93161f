// Elements, and redrawing that keeps what a person is doing. Text from outside only ever becomes
// text nodes and attribute values: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = ["onclick", "onsubmit", "onchange", "oninput"];

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (HANDLERS.includes(key)) node[key] = value;
    else if (key === "value" && "value" in node) node.value = value;
    else if (key === "class") node.setAttribute("class", value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

/** An element. Props are attributes, `value`, or one of the handlers; children are nodes or text. */
export const el = (name, props = {}, ...children) => fill(document.createElement(name), props, children);

/** The same for SVG. */
export const svg = (name, props = {}, ...children) => fill(document.createElementNS(SVG, name), props, children);

const keyOf = (node) => node.dataset?.key;

/** Makes `old` look like `fresh` with as little change as possible: focus, scroll position, typed
 * words, opened details and loaded pictures stay. */
export function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  // A form that stands in the page is its person's until it is sent.
  if (old.dataset?.keep) return undefined;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return undefined;
  }
  for (const { name } of [...old.attributes]) {
    // A person opens and closes details.
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value && !(name === "open" && old.nodeName === "DETAILS")) old.setAttribute(name, value);
  }
  for (const name of HANDLERS) old[name] = fresh[name];
  return morphChildren(old, [...fresh.childNodes]);
}

/** The same for all children of an element. Children with `data-key` are matched by it. */
export function morphChildren(parent, fresh) {
  // What went is taken out first: what stands behind it would be made anew, and lose the focus.
  const wanted = new Set(fresh.map(keyOf));
  for (const node of [...parent.childNodes]) if (keyOf(node) && !wanted.has(keyOf(node))) node.remove();
  const keyed = new Map([...parent.childNodes].filter(keyOf).map((n) => [keyOf(n), n]));
  let at = parent.firstChild;
  for (const node of fresh) {
    const key = keyOf(node);
    const match = key ? keyed.get(key) : at && !keyOf(at) && at.nodeName === node.nodeName && at;
    if (!match) {
      parent.insertBefore(node, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else parent.insertBefore(match, at);
    morph(match, node);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** `HH:MM:SS`, `YYYY-MM-DD HH:MM` of an RFC 3339 time in UTC. */
export const clock = (text) => (text ? text.slice(11, 19) : "");
export const minute = (text) => (text ? `${text.slice(0, 10)} ${text.slice(11, 16)}` : "");
/** The clock time; with its date where it lies half a day or more from another time. */
export const near = (text, other) => (Math.abs(new Date(text) - new Date(other)) < 12 * 3600e3 ? clock(text) : minute(text).slice(5));
/** The name of an entity, without the attribute that it is the value of. */
export const entity = (text) => (text || "").replace(/^[^=]+=/, "");
/** A whole number with thousands set apart. */
export const count = (n) => String(n ?? 0).replace(/\B(?=(\d{3})+$)/g, ",");
/** `1 alert`, `2 alerts`. */
export const n_of = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;

/** A time in a table is never broken over two lines. */
const isTime = (c) => typeof c === "string" && /^[\d: -]{5,16}$/.test(c);

/** A table in a box that scrolls by itself on narrow screens. */
export function table(caption, heads, rows, none) {
  if (!rows.length) return el("p", { class: "empty" }, none);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, el("table", {},
    el("caption", { class: "hidden" }, caption),
    el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col" }, h)))),
    // On narrow screens a row is a block, and each cell says its column.
    el("tbody", {}, rows.map((r) => el("tr", {}, r.map((c, i) => el("td", { "data-label": heads[i], class: isTime(c) ? "name" : null }, c ?? "")))))));
}

/** A state at a glance: a coloured dot with its word for those who don't see it. */
export const mark = (kind) => el("span", { class: `mark ${kind}`, role: "img", "aria-label": kind });

/** Whether an alert fires, and how bad that is. */
export const state = (alert) => el("span", { class: "name" }, mark(alert.status === "firing" ? alert.severity : "over"), alert.status);

/** A small label. */
export const badge = (text, kind = "") => el("span", { class: `badge ${kind}` }, text);

/** A button. */
export const button = (label, onclick, props = {}) => el("button", { type: "button", onclick, ...props }, label);
