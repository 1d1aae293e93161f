// Buttons: what a button carries goes to the server as it stands on the card that the person saw,
// and the server says what is asked first. One form for whatever is asked, in the dialog or in the
// thread; sending it twice does it once.
import { el, button } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { close, open, show, toast } from "/assets/form.js";
import { inputs, answers, mark } from "/assets/fields.js";
import { blocks } from "/assets/card.js";

const stale = () => document.dispatchEvent(new CustomEvent("stale"));

/** The canonical code of a button: verb, subject and the digest of the plan that was shown. */
export const code = (b) => ["v1", b.verb, b.subject, b.digest].filter(Boolean).join(":");

/** Chosen once for each form that is opened. `crypto.randomUUID` is missing on plain http. */
const key = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

/** What can't be had any more, however the form is filled in. */
const gone = (error) => [403, 404, 409].includes(error.status);

/** Tells what came of it. */
function told(done, subject) {
  if (done.card) {
    const page = subject && /^(INC|ALT)-/.test(subject) ? el("p", { class: "small" }, el("a", { href: `#/why/${subject}`, onclick: close }, "Open as a page")) : null;
    show(done.card.title || done.words, blocks(done.card), done.card.footer ? el("p", { class: "soft small" }, done.card.footer) : null, page);
  } else toast(done.words || "Done.");
  // What was opened by hand is what its opener wants to see.
  if (subject === "none" && done.incident) location.hash = `#/incidents/${done.incident}`;
  stale();
}

const PARAMETER = "parameter.";

/** Parameters that were changed make another plan: it is made first, and its form is shown, so that
 * nobody approves what they have not read. Gives the new form; null where nothing was changed. */
async function replanned(form, values) {
  const asked = form.fields.filter((f) => f.name.startsWith(PARAMETER));
  // Whoever may not approve what they change says what is to be done, and the server does it.
  if (values.then || asked.every((f) => values[f.name] === f.value)) return null;
  const [, , subject, digest] = form.code.split(":");
  const parameters = Object.fromEntries(asked.map((f) => [f.name.slice(PARAMETER.length), values[f.name]]));
  let next;
  try {
    next = await api(`/proposals/${subject}/edit`, { digest, parameters, reason: values.reason });
  } catch (error) {
    const wrong = asked.filter((f) => values[f.name] !== f.value);
    if (error.status === 422 && wrong.length === 1) error.fields = { [wrong[0].name]: error.message };
    throw error;
  }
  return (await api("/press", { code: code({ verb: "approve", subject, digest: next.digest.slice(0, 16) }) })).form;
}

/** The form with its fields, refusals beside them, and the buttons; `after` is told what came of
 * it. */
function made(form, prefix, after, more) {
  let mine = key();
  const refused = el("p", { class: "refused", role: "alert" });
  const go = el("button", { type: "submit", class: "primary", id: prefix === "f" ? "confirm" : `${prefix}-confirm` }, form.submit);
  const send = async (event) => {
    event.preventDefault();
    const own = event.target;
    const say = own.querySelector(":scope > .refused");
    const confirm = own.querySelector("button[type=submit]");
    say.textContent = "";
    mark(own, {});
    // A second press does nothing while the first is under way.
    confirm.disabled = true;
    own.setAttribute("aria-busy", "true");
    try {
      const values = answers(own, form);
      const next = await replanned(form, values);
      if (next) {
        ask(next, "", values);
        toast("The plan was changed: read it again before you decide.");
        return stale();
      }
      after(await api("/submit", { code: form.code, values, key: mine }));
    } catch (error) {
      // What was answered was handled; what was lost on the way may have been, and keeps its key.
      if (!error.away) mine = key();
      const rest = mark(own, error.fields || {});
      say.textContent = [error.fields && Object.keys(error.fields).length ? "" : error.message, ...rest].filter(Boolean).join(" ");
      if (gone(error)) {
        // It stays to be read; what is behind it shows how things stand now.
        confirm.remove();
        stale();
      }
    }
    own.removeAttribute("aria-busy");
    confirm.disabled = false;
  };
  return el("form", { onsubmit: send, novalidate: true }, inputs(form, prefix),
    form.danger ? el("p", { class: "soft small" }, "This has an effect on the systems that are watched.") : null, refused, el("div", { class: "buttons" }, go, more));
}

/** A form in the dialog; what was typed into one before it stays. */
function ask(form, subject, typed = {}) {
  const kept = form.fields.map((f) => (f.name === "reason" && typed.reason ? { ...f, value: typed.reason } : f));
  const own = made({ ...form, fields: kept }, "f", (done) => { close(); told(done, subject); }, button("Cancel", close));
  open(form.title, own);
  // What is still empty comes first; what is to be read stays in sight.
  const asked = [...own.querySelectorAll("input,textarea,select")];
  (asked.find((c) => !c.value) || asked[0] || own.querySelector("#confirm")).focus({ preventScroll: true });
}

/** A form in the thread. */
export const inline = (form, id, after) => el("div", { class: "panel inline", "data-keep": "form" }, el("h3", {}, form.title),
  made(form, id, (done) => { told(done); after(); }));

const act = async (b) => told(await api("/submit", { code: code(b), values: {}, key: key() }), b.subject);

/** Asks once more before what is done at once and not simply had back. */
function sure(b) {
  const go = button(b.label, async () => {
    close();
    try { await act(b); } catch (error) { toast(error.message); stale(); }
  }, { class: "danger" });
  open(b.label, el("p", {}, "This is done at once, and recorded under your name."), el("div", { class: "buttons" }, go, button("Cancel", close)));
  go.focus();
}

let pressing = false;

/** Presses a button of a card. */
export async function press(b) {
  if (pressing) return;
  pressing = true;
  try {
    const { form } = await api("/press", { code: code(b) });
    if (form) ask(form, b.subject);
    else if (b.style === "danger") sure(b);
    else await act(b);
  } catch (error) {
    toast(error.message);
    stale();
  } finally {
    pressing = false;
  }
}
