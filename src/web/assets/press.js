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
  stale();
}

/** The form with its fields, refusals beside them, and the buttons; `after` is told what came of
 * it. */
function made(form, prefix, after, more) {
  const mine = key();
  const refused = el("p", { class: "refused", role: "alert" });
  const go = el("button", { type: "submit", class: form.danger ? "danger" : "primary", id: prefix === "f" ? "confirm" : `${prefix}-confirm` }, form.submit);
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
      after(await api("/submit", { code: form.code, values: answers(own, form), key: mine }));
    } catch (error) {
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
  return el("form", { onsubmit: send, novalidate: true }, inputs(form, prefix), refused, el("div", { class: "buttons" }, go, more));
}

/** A form in the dialog. */
function ask(form, subject) {
  const own = made(form, "f", (done) => { close(); told(done, subject); }, button("Cancel", close));
  open(form.title, own);
  (own.querySelector("input,textarea,select") || own.querySelector("#confirm")).focus();
}

/** A form in the thread. */
export const inline = (form, id, after) => el("div", { class: "panel inline", "data-keep": "form" }, el("h3", {}, form.title),
  made(form, id, (done) => { told(done); after(); }));

let pressing = false;

/** Presses a button of a card. */
export async function press(b) {
  if (pressing) return;
  pressing = true;
  try {
    const { form } = await api("/press", { code: code(b) });
    if (form) ask(form, b.subject);
    else told(await api("/submit", { code: code(b), values: {}, key: key() }), b.subject);
  } catch (error) {
    toast(error.message);
    stale();
  } finally {
    pressing = false;
  }
}
