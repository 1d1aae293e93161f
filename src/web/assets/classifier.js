// The classifier of incidents: its versions with their cards, and what people may do with them.
import { el, badge, button, minute, count, n_of, table } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { form, field } from "/assets/form.js";

const ASKED = { real: "Real or noise", trigger: "Trigger", fix: "Likely fix" };
const percent = (x) => `${Math.round(100 * x)} %`;

/** Asks for a reason and does the deed; the server refuses what the role does not allow. */
function move(version, deed, title, words, done) {
  form(title, [el("p", {}, words), field("reason", "Reason", "text", { required: true, maxlength: 500 })],
    { submit: title, send: (v) => api(`/models/${deed}`, { version, reason: v.reason }), done });
}

const train = () => form("Train", [el("p", {}, "A version is trained on what was said of incidents so far. It is born in shadow: its answers are kept and compared, and nobody sees them.")],
  { submit: "Train", send: () => api("/models/train", {}), done: "A version was trained; it is in shadow." });

function head(h) {
  if (h.silent) return [el("h3", {}, ASKED[h.question]), el("p", { class: "soft" }, h.silent)];
  const useful = h.brier < h.base_brier;
  const rows = h.classes.map((c) => [c.name, count(c.n), c.n_told ? `${(c.n_right / c.n_told).toFixed(2)} (${c.n_right} of ${c.n_told})` : "never told", (c.n_right / Math.max(1, c.n)).toFixed(2)]);
  const bins = h.calibration.map((b) => [percent(b.said), percent(b.came), count(b.n)]);
  const later = h.later ? ` Trained on the oldest seven tenths, of the ${h.later.n} after ${percent(h.later.accuracy)} (${percent(h.later.base_accuracy)}).` : "";
  return [el("h3", {}, ASKED[h.question], " ", useful ? null : badge("of no use, not shown", "warning")),
    el("p", { class: "soft" }, `By cross-validation over ${n_of(h.rows, "incident")}: ${percent(h.accuracy)} right, always the commonest class ${percent(h.base_accuracy)}. Brier score ${h.brier.toFixed(3)} against ${h.base_brier.toFixed(3)}, calibration error ${h.calibration_error.toFixed(3)}.${later}`),
    table(`Classes: ${ASKED[h.question]}`, ["Class", "Labelled", "Precision", "Recall"], rows, ""),
    el("details", {}, el("summary", {}, "Calibration, and what it looks at"),
      table(`Calibration: ${ASKED[h.question]}`, ["Said", "Came true", "Answers"], bins, ""),
      el("p", { class: "soft small" }, h.importance.map(([f, s]) => `${f} ${percent(s)}`).join(", ")))];
}

function version(v) {
  const live = v.state === "live";
  const buttons = [live ? button("Roll back…", () => move(null, "rollback", "Roll back", "The version that was live before is shown again; without one, nothing is.", "It is rolled back."), { class: "quiet" })
    : button("Promote…", () => move(v.version, "promote", "Promote", "Its answers are shown on cards and in why from the next incident on. They decide nothing.", `Version ${v.version} is live.`), { class: "primary" })];
  return el("li", { "data-key": `version-${v.version}`, class: "tuning" },
    el("p", {}, badge(v.state, live ? "on" : ""), v.watch?.drifts ? [" ", badge("drifts", "critical")] : null, " ", el("strong", {}, `Version ${v.version}`),
      el("span", { class: "soft" }, ` trained ${minute(v.card.trained_at)} UTC on ${n_of(v.card.rows, "labelled incident")} in ${count(v.card.took_ms)} ms`)),
    v.watch ? el("p", { class: v.watch.drifts ? "bad" : "soft" }, v.watch.text) : null,
    v.card.heads.flatMap(head),
    v.deeds.map((d) => el("p", { class: "soft small" }, `${minute(d.at)} UTC to ${d.to} by ${d.by.name}${d.reason ? `: ${d.reason}` : ""}`)),
    el("p", { class: "soft small" }, `Trees ${v.hash.slice(0, 16)}, data ${v.card.data_hash.slice(0, 16)}, code ${v.card.code}.`),
    el("div", { class: "buttons" }, buttons));
}

/** The panel: what could be learned, what is live, what waits, and what was before. */
export function panel({ versions, standing }) {
  const now = versions.filter((v) => v.state !== "former");
  const past = versions.filter((v) => v.state === "former");
  const known = standing.questions.map((q) => [ASKED[q.question], count(q.n), q.classes.map(([name, n]) => `${name} ${n}`).join(", ") || "none", q.enough ? "enough" : "too few"]);
  return el("section", { class: "panel wide", id: "classifier" }, el("h1", {}, "Classifier of incidents"),
    el("p", { class: "soft" }, `Trained on what people and measured fixes said of earlier incidents. It decides nothing: once a version is promoted, its answers are a line on the card, with their precision. ${standing.n_labelled} labelled incidents of ${standing.n_incidents} that are kept as they were known; ${standing.needed} are needed.`),
    table("What could be learned", ["Question", "Labelled", "By class", ""], known, ""),
    now.length ? el("ul", { class: "plain" }, now.map(version)) : el("p", { class: "empty" }, "No version is live, and none is in shadow."),
    el("div", { class: "buttons" }, button("Train…", train)),
    past.length ? el("details", {}, el("summary", {}, `Earlier versions (${past.length})`), el("ul", { class: "plain" }, past.map(version))) : null);
}
