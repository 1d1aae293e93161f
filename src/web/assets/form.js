// The dialog: something to read, or a form that stays open with its refusal until it was taken.
import { el, button } from "/assets/dom.js";

const dialog = () => document.getElementById("dialog");
let returnTo = null;

/** Opens the dialog with content; the focus goes back where it came from. */
export function open(title, ...content) {
  const d = dialog();
  if (!d.open) returnTo = document.activeElement;
  d.replaceChildren(el("h1", { id: "dialog-title" }, title), ...content.flat().filter((c) => c !== null && c !== undefined));
  d.setAttribute("aria-labelledby", "dialog-title");
  if (!d.open) d.showModal();
  d.scrollTop = 0;
}

export const close = () => dialog().close();

/** Something to read, with a button to close it. */
export function show(title, ...content) {
  open(title, ...content, el("div", { class: "buttons" }, button("Close", close)));
  // What is to be read begins at its top.
  dialog().querySelector(".buttons button").focus({ preventScroll: true });
}

export function toast(text) {
  const note = el("div", {}, text);
  document.getElementById("toast").append(note);
  setTimeout(() => note.remove(), 8000);
}

/** One labelled control. `kind`: text, lines, number, datetime-local, select, checkbox. */
export function field(name, label, kind = "text", props = {}) {
  const { hint, options, checked, ...rest } = props;
  const own = { id: `f-${name}`, name, autocomplete: "off", ...rest };
  if (hint) own["aria-describedby"] = `h-${name}`;
  let control;
  if (kind === "lines") control = el("textarea", { rows: "3", ...own });
  else if (kind === "select") {
    control = el("select", own, options.map(([value, text]) => el("option", { value }, text)));
    if (rest.value !== undefined) control.value = rest.value;
  } else control = el("input", { type: kind, ...own });
  if (checked) control.checked = true;
  const note = hint ? el("span", { class: "hint", id: `h-${name}` }, hint) : null;
  if (kind === "checkbox") return el("p", { class: "field check" }, control, el("label", { for: own.id }, label), note);
  return el("p", { class: "field" }, el("label", { for: own.id }, label), control, note);
}

/** A form in the dialog. `send(values)` may throw a sentence: it is shown and the form stays. */
export function form(title, content, { submit, danger, send, done }) {
  const refused = el("p", { class: "refused", role: "alert" });
  const go = el("button", { type: "submit", class: danger ? "danger" : "primary", id: "confirm" }, submit);
  const made = el("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      refused.textContent = "";
      // A second press does nothing while the first is under way.
      go.disabled = true;
      try {
        const said = await send(values(made));
        if (said !== "stay") {
          close();
          toast(typeof done === "function" ? done(said) : done);
          document.dispatchEvent(new CustomEvent("stale"));
        }
      } catch (error) {
        refused.textContent = error.message;
      }
      go.disabled = false;
    },
  }, content, refused, el("div", { class: "buttons" }, go, button("Cancel", close)));
  open(title, made);
  made.querySelector("input:not([type=checkbox]),textarea,select")?.focus();
}

/** The values of a form by name; of checkboxes with the same name a list of those ticked. */
export function values(made) {
  const found = {};
  for (const control of made.elements) {
    if (!control.name) continue;
    if (control.type !== "checkbox") found[control.name] = control.value.trim();
    else if (control.value === "on") found[control.name] = control.checked;
    else (found[control.name] ??= []).push(...(control.checked ? [control.value] : []));
  }
  return found;
}

// What it came from may be gone meanwhile: then to the page, not to nowhere.
addEventListener("DOMContentLoaded", () => dialog().addEventListener("close", () => (returnTo?.isConnected ? returnTo : document.querySelector("main"))?.focus?.()));
