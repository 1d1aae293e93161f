// Runbooks: what people read when something is wrong, and what machines could do.
import { el, badge } from "/assets/dom.js";
import { api } from "/assets/net.js";
import { blocks, inline } from "/assets/words.js";

function search(words) {
  return el("form", {
    class: "ask", role: "search", "data-key": `search-${words || ""}`,
    onsubmit: (event) => {
      event.preventDefault();
      const q = document.getElementById("say").value.trim();
      location.hash = q ? `#/runbooks//${encodeURIComponent(q)}` : "#/runbooks";
    },
  }, el("label", { for: "say", class: "hidden" }, "Search runbooks"), el("input", { id: "say", type: "search", value: words || "", placeholder: "pool exhausted, timeout, disk full" }),
  el("button", { type: "submit" }, "Search"));
}

async function list(words) {
  const { runbooks } = await api(`/runbooks${words ? `?q=${encodeURIComponent(words)}` : ""}`);
  const item = (r) => el("a", { class: "item", href: `#/runbooks/${encodeURIComponent(r.id)}`, "data-key": r.id }, el("div", { class: "title" }, r.title),
    r.excerpt ? el("div", { class: "small" }, r.excerpt) : null,
    el("div", { class: "soft small" }, [r.services.length ? r.services.join(", ") : "any service", r.owner, `reviewed ${r.reviewed}`].join(" · ")));
  return { title: "Runbooks", still: true, nodes: [el("section", { class: "reading" }, el("h1", {}, "Runbooks"), search(words),
    runbooks.length ? runbooks.map(item) : el("p", { class: "empty" }, "No runbook has these words."))] };
}

export async function page(id, words) {
  if (!id) return list(words);
  const r = await api(`/runbooks/${encodeURIComponent(id)}`);
  return { title: r.title, still: true, nodes: [el("article", { class: "panel reading" },
    el("p", {}, el("a", { href: "#/runbooks" }, "‹ All runbooks")), el("h1", {}, r.title),
    el("p", { class: "soft small" }, [r.services.length ? r.services.join(", ") : "any service", `owner ${r.owner}`, `reviewed ${r.reviewed}`, r.file].join(" · ")),
    r.preconditions.length ? [el("h2", {}, "Before anything is done"), el("ul", {}, r.preconditions.map((p) => el("li", {}, inline(p))))] : null,
    blocks(r.body, null, 1),
    r.actions.length ? [el("h2", {}, "What nightjar can offer"), el("ul", {}, r.actions.map((a) => el("li", {},
      inline(a.title), " ", badge(`risk ${a.risk}`, `risk-${a.risk}`), el("div", { class: "soft small" }, a.expected_effect))))] : null,
    r.verification ? [el("h2", {}, "How to see that it worked"), el("p", {}, inline(r.verification))] : null,
    r.rollback ? [el("h2", {}, "The way back"), el("p", {}, inline(r.rollback))] : null)] };
}
