"use strict";

// Orders what Sphinx's search finds, and shows a line of prose under each page.
(() => {
  const HEADING = 8; // the most that a heading counts; Sphinx gives 5 for a word in the text
  let query = "";
  let words = [];

  // Sphinx looks inside words from three letters on, but two Chinese characters are a word, and the
  // index holds them as part of what stands around them.
  const findInside = (index, word) => {
    if (!/^\p{Script=Han}+$/u.test(word) || Object.hasOwn(index.terms, word)) return;
    const found = Object.keys(index.terms).filter((term) => term.includes(word));
    if (found.length) index.terms[word] = [...new Set(found.flatMap((term) => index.terms[term]))];
  };

  const search = Search.query;
  Search.query = (text) => {
    query = text.toLowerCase().trim();
    words = [...Search._parseQuery(text)[1]];
    words.forEach((word) => findInside(Search._index, word));
    search(text);
    localStorage.removeItem("sphinx_highlight_terms"); // what is searched for is not kept
  };

  // A page that has a word often is about it, more than one that only has it in a heading. The
  // reference comes last, unless a name of it was asked for.
  Scorer.score = ([page, title, anchor, , score]) => {
    const place = COURSE_COUNTS.pages.indexOf(page);
    const counts = words.map((word) => Math.log2(1 + (COURSE_COUNTS.counts[word]?.[place] ?? 0)));
    const own = anchor ? score : Math.min(score, HEADING);
    const name = title.split(".").pop();
    const isAsked = /[A-Z_]/.test(name) && name.toLowerCase() === query;
    const reference = page.startsWith("book/api/") ? (isAsked ? 100 : -100) : 0;
    return own + 2 * counts.reduce((sum, count) => sum + count, 0) + reference;
  };

  const proseOf = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const target = anchor ? page.getElementById(anchor.slice(1)) : null;
    const place = target?.matches("dt") ? target.nextElementSibling : target;
    const root = place ?? page.querySelector("article");
    root?.querySelectorAll(".headerlink, script, style").forEach((part) => part.remove());
    root?.querySelectorAll(".math").forEach((formula) => formula.replaceWith("…"));
    return [...root?.querySelectorAll("p") ?? []]
      .filter((part) => !part.closest(".cell, .toctree-wrapper, .admonition-title, summary"))
      .map((part) => ({ part, text: part.textContent.replace(/\s+/g, " ").trim() }));
  };

  Search.makeSearchSummary = (html, keywords, anchor) => {
    const sought = [...keywords].map((word) => word.toLowerCase());
    const number = ({ text }) => sought.filter((word) => text.toLowerCase().includes(word)).length;
    const prose = proseOf(html, anchor);
    const best = prose.reduce((a, b) => (a && number(a) >= number(b) ? a : b), null);
    if (!best) return null;
    const { part, text } = best;
    const places = sought.map((word) => text.toLowerCase().indexOf(word)).filter((at) => at >= 0);
    const start = Math.max(0, Math.min(...places, text.length) - 80);
    const from = !places.length || start === 0 ? 0 : text.indexOf(" ", start) + 1;
    const summary = document.createElement("p");
    summary.className = "context";
    summary.textContent = `${from ? "… " : ""}${text.slice(from, from + 240)}${text.length > from + 240 ? " …" : ""}`;
    const section = part.closest("section[id]");
    if (!anchor && section?.parentElement.closest("section")) {
      // the hit opens where the words are, once it stands in the list
      queueMicrotask(() => { summary.parentElement.querySelector("a").hash = section.id; });
    }
    return summary;
  };
})();
