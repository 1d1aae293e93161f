// The messages of a thread: words, cards, files and forms, and those that only one person sees.
import { el, button, clock } from "/assets/dom.js";
import { blocks as written } from "/assets/words.js";
import { blocks as drawn, row } from "/assets/card.js";
import { inline, press } from "/assets/press.js";

const PICTURES = ["image/png", "image/svg+xml"];

/** A picture is shown, anything else is to be saved; what it shows is said in words either way. */
function file(content) {
  const href = `/api/v1/files/${encodeURIComponent(content.file)}`;
  if (!PICTURES.includes(content.media_type)) {
    return el("p", {}, el("a", { href, download: content.name }, content.name || "file"),
      el("span", { class: "soft" }, ` ${content.media_type}${content.alt ? `: ${content.alt}` : ""}`));
  }
  return el("figure", { class: "file" }, el("a", { href, target: "_blank", rel: "noopener noreferrer", "aria-label": `${content.name}: open the picture` },
    el("img", { src: href, alt: content.alt || content.name, loading: "lazy" })), el("figcaption", { class: "soft small" }, content.name));
}

function body(m) {
  const content = m.content;
  switch (content.content) {
    case "text": return written(content.text, null, 3);
    case "card": return [content.card.title ? el("h3", {}, content.card.title) : null, drawn(content.card, m.at), row(content.card.buttons, press),
      content.card.footer ? el("p", { class: "soft small" }, content.card.footer) : null];
    case "file": return [file(content)];
    case "form": return [inline(content.form, m.id, () => dismiss(m.id))];
    default: return [];
  }
}

// What a person has read and put away stays away in this browser.
const KEPT = 200;
const away = () => {
  try { return JSON.parse(localStorage.getItem("dismissed")) || []; } catch { return []; }
};

function dismiss(id) {
  localStorage.setItem("dismissed", JSON.stringify([...away(), id].slice(-KEPT)));
  document.dispatchEvent(new CustomEvent("stale"));
}

/** What was told of the course of things: a line with the time at which it happened. */
function delta(m) {
  const told = m.author.via === "nightjar" && !m.ephemeral_to && m.content.content === "text" && m.content.text.match(/^((?:\d\d-\d\d )?\d\d:\d\d(?::\d\d)?) UTC (.*)$/s);
  return told && el("div", { class: "message delta", "data-key": m.id }, el("time", { class: "by", datetime: m.at }, told[1], el("span", { class: "zone" }, " UTC")), el("div", {}, written(told[2], null, 3)));
}

/** The messages below the card, oldest first. */
export function thread(messages) {
  const gone = new Set(away());
  const replies = messages.filter((m) => m.thread && !(m.ephemeral_to && gone.has(m.id)))
    .sort((a, b) => a.at.localeCompare(b.at) || a.id.localeCompare(b.id));
  return replies.map((m) => {
    const line = delta(m);
    if (line) return line;
    const kind = `message${m.author.via === "nightjar" ? "" : " mine"}${m.ephemeral_to ? " ephemeral" : ""}`;
    return el("div", { class: kind, "data-key": m.id },
      el("p", { class: "by" }, `${m.author.name} `, el("time", { datetime: m.at }, `${clock(m.at)} UTC`),
        m.ephemeral_to ? [" · only you see this ", button("Dismiss", () => dismiss(m.id), { class: "quiet", "aria-label": "Dismiss this message" })] : null), body(m));
  });
}
