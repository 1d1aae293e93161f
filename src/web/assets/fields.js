// The inputs of a form that the server describes, what stands in them, and what is wrong with it.
import { el, badge } from "/assets/dom.js";

/** `2026-11-24T14:30` of a time as forms carry it: RFC 3339 or `2026-11-24 14:30`. */
const local = (text) => text.replace(" ", "T").slice(0, 16);

function control(field, own) {
  const kind = field.kind.kind;
  if (kind === "lines") return el("textarea", { rows: "3", ...own, value: field.value });
  if (kind === "date_time") return el("input", { type: "datetime-local", ...own, value: local(field.value) });
  if (kind !== "choice") return el("input", { type: "text", ...own, value: field.value });
  // Nothing is chosen for a person who has to choose.
  const chosen = field.kind.options.some(([value]) => value === field.value);
  const none = !field.required || !chosen ? el("option", { value: "" }, field.required ? "Choose…" : "—") : null;
  const made = el("select", own, none, field.kind.options.map(([value, label]) => el("option", { value }, label)));
  made.value = chosen ? field.value : "";
  return made;
}

const helped = { date_time: "UTC, event time", duration: "30 min, 2 h, 1 d" };

const PAIR = /^([A-Z][^:]{1,24}): (.+)$/;

/** Text to read: what will be done stands to the letter, labels with values stand in columns, and
 * the first line says what the form is about. */
function fixed(field, first) {
  const lines = field.value.split("\n");
  if (first && lines.length === 1) return el("p", { class: "about" }, field.value);
  const heading = field.label ? el("h2", {}, field.label) : null;
  if (/^exactly/i.test(field.label)) return [heading, el("pre", { id: "exact" }, field.value)];
  if (lines.every((line) => PAIR.test(line))) {
    return el("dl", {}, lines.map((line) => line.match(PAIR)).flatMap(([, label, value]) => [el("dt", {}, label),
      el("dd", {}, label === "Risk" ? badge(value, `risk-${value}`) : label === "Plan" ? el("code", {}, value) : value)]));
  }
  return [heading, el(lines.length > 1 ? "pre" : "p", {}, field.value)];
}

/** The fields of a form as elements; `prefix` keeps ids apart where several forms are shown. */
export function inputs(form, prefix) {
  return form.fields.map((field, place) => {
    if (field.kind.kind === "fixed") return fixed(field, place === 0);
    const id = `${prefix}-${field.name}`;
    const hint = [field.hint, field.hint ? null : helped[field.kind.kind]].filter(Boolean).join(" ");
    const described = `${hint ? `${id}-hint ` : ""}${id}-wrong`;
    const own = { id, name: field.name, autocomplete: "off", required: field.required, maxlength: field.kind.kind === "lines" ? 4000 : 500, "aria-describedby": described };
    if (["choice", "date_time"].includes(field.kind.kind)) delete own.maxlength;
    return el("p", { class: "field" }, el("label", { for: id }, field.label, field.required ? null : el("span", { class: "small" }, " · optional")),
      control(field, own), hint ? el("span", { class: "hint", id: `${id}-hint` }, hint) : null,
      el("span", { class: "refused", id: `${id}-wrong`, role: "alert" }));
  });
}

/** What stands in the fields, by name; times are in UTC. */
export function answers(made, form) {
  const found = {};
  for (const field of form.fields.filter((f) => f.kind.kind !== "fixed")) {
    const text = made.elements.namedItem(field.name).value.trim();
    found[field.name] = field.kind.kind === "date_time" && text ? text.replace("T", " ") : text;
  }
  return found;
}

/** Writes beside each field what is wrong with it, and leads to the first; gives what belongs to
 * no field. */
export function mark(made, wrong) {
  const rest = [];
  let first = null;
  for (const control of made.elements) {
    if (!control.name) continue;
    const said = wrong[control.name] || "";
    const place = made.querySelector(`[id="${CSS.escape(control.id)}-wrong"]`);
    if (place) place.textContent = said;
    if (said) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
    if (said && !first) first = control;
  }
  for (const [name, said] of Object.entries(wrong)) if (!made.elements.namedItem(name)) rest.push(said);
  first?.focus();
  return rest;
}
