// Markdown as far as runbooks and answers use it, as elements. What it does not know stays as it
// is written; links lead to http and https only.
import { el } from "/assets/dom.js";

const INLINE = /(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s][^*]*\*|\[\d+\]|\[[^\]]+\]\(https?:\/\/[^\s)]+\))/;

/** One line; `cite` makes the element of `[n]`, or gives nothing where n cites nothing. */
export function inline(text, cite) {
  return text.split(INLINE).filter(Boolean).map((part) => {
    if (/^`[^`]+`$/.test(part)) return el("code", {}, part.slice(1, -1));
    if (/^\*\*[^*]+\*\*$/.test(part)) return el("strong", {}, part.slice(2, -2));
    if (/^\*[^*]+\*$/.test(part)) return el("em", {}, part.slice(1, -1));
    const cited = part.match(/^\[(\d+)\]$/);
    if (cited) return (cite && cite(Number(cited[1]))) || part;
    const link = part.match(/^\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)$/);
    return link ? el("a", { href: link[2], rel: "noopener noreferrer", target: "_blank" }, link[1]) : part;
  });
}

function list(lines, cite) {
  const ordered = /^\s*\d+\. /.test(lines[0]);
  const items = [];
  for (const line of lines) {
    const item = line.match(/^\s*(?:[-*]|\d+\.) (.*)$/);
    if (item) items.push(item[1]);
    else if (items.length) items[items.length - 1] += ` ${line.trim()}`;
  }
  return el(ordered ? "ol" : "ul", {}, items.map((text) => el("li", {}, inline(text, cite))));
}

/** A whole text. Headings begin at `level`. */
export function blocks(text, cite, level = 2) {
  const made = [];
  let lines = [];
  let code = null;
  const flush = () => {
    if (!lines.length) return;
    const first = lines.findIndex((l) => /^\s*(?:[-*]|\d+\.) /.test(l));
    const words = first < 0 ? lines : lines.slice(0, first);
    if (words.length) made.push(el("p", {}, inline(words.join("\n"), cite)));
    if (first >= 0) made.push(list(lines.slice(first), cite));
    lines = [];
  };
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) {
      if (code) made.push(el("pre", {}, code.join("\n")));
      else flush();
      code = code ? null : [];
    } else if (code) code.push(line);
    else if (/^#{1,4} /.test(line)) {
      flush();
      const depth = Math.min(line.indexOf(" ") + level - 1, 5);
      made.push(el(`h${depth}`, {}, inline(line.replace(/^#+ /, ""), cite)));
    } else if (!line.trim()) flush();
    else lines.push(line);
  }
  flush();
  if (code) made.push(el("pre", {}, code.join("\n")));
  return made;
}
