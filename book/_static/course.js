"use strict";

// Repairs on every page. A formula that is a little too wide for its column is set smaller; its
// width is left for the print style, too.
const SMALLEST = 0.7; // of its size, in which its letters are still as large as those of code
const fitFormulas = () => {
  const formulas = [...document.querySelectorAll("div.math")]
    .map((box) => ({ box, room: box.querySelector("mjx-container"), formula: box.querySelector("mjx-math") }))
    .filter(({ formula }) => formula?.offsetWidth);
  for (const { box } of formulas) box.removeAttribute("style"); // so that each is measured as it is
  const sizes = formulas.map(({ box, room, formula }) =>
    [formula.offsetWidth, room.clientWidth, box.querySelector(".eqno")?.offsetWidth ?? 0]);
  formulas.forEach(({ box }, i) => {
    const [width, room, number] = sizes[i];
    const share = Math.floor(100 * room / width) / 100;
    box.style.setProperty("--course-width", width + number);
    if (share < 1 && share >= SMALLEST) box.style.setProperty("--course-shrink", share);
  });
};

// What is wider than its column scrolls and says so, and a key can scroll only what takes the focus.
// (The theme looks at printed lines when the window changes its size, but not when only the column
// does, as beside a folded sidebar.)
const WIDE = 'mjx-container[display="true"], span.math, div.cell_output:has(> img), pre, .cell_output > .output';
const markWide = () => {
  fitFormulas();
  const parts = [...document.querySelectorAll(WIDE)];
  // (inside a line of text a formula's MathML, which only a screen reader meets, may be wider)
  const width = (part) => part.matches("span") ? part.querySelector("mjx-math")?.offsetWidth : part.scrollWidth;
  const wide = parts.map((part) => width(part) > part.clientWidth + 1);
  parts.forEach((part, i) => {
    part.classList.toggle("scrolls", wide[i] && !part.closest(".cell_input"));
    if (wide[i]) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
  });
};
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  new ResizeObserver(markWide).observe(document.querySelector("main") ?? document.body);
});

// On a phone a figure is as wide as its column until it is touched.
const narrow = matchMedia("(max-width: 600px)");
document.addEventListener("click", ({ target }) => {
  const picture = target.matches(".enlarge") ? target.previousElementSibling : target;
  const button = picture?.nextElementSibling;
  if (!narrow.matches || !button?.matches(".enlarge")) return;
  const isLarge = picture.classList.toggle("large");
  button.textContent = isLarge ? "Fit the figure to the page" : "Enlarge the figure";
  markWide();
});

// On paper there is no dark theme, and a formula cannot scroll.
const root = document.documentElement;
let themeOnScreen;
addEventListener("beforeprint", () => {
  themeOnScreen ??= root.dataset.theme;
  root.dataset.theme = "light";
  fitFormulas(); // the theme opens what is folded
});
addEventListener("afterprint", () => {
  root.dataset.theme = themeOnScreen;
  themeOnScreen = undefined;
});

// How much code is seen: off for none, key for what carries the idea, all. The browser keeps the choice.
const code = {
  folds: document.querySelectorAll("div.cell:not(.tag_check, .tag_hide-cell) > details.hide"),
  kept: () => { try { return localStorage.getItem("code"); } catch { return null; } },
  keep: (choice) => { try { localStorage.setItem("code", choice); } catch { /* for this page only */ } },
  show(choice) {
    root.dataset.code = choice;
    for (const fold of code.folds) fold.open = choice === "all";
  },
};
const bar = document.querySelector(".article-header-buttons");
if (bar && document.querySelector("div.cell_input")) {
  const choices = ["off", "key", "all"];
  const start = choices.includes(code.kept()) ? code.kept() : "key";
  const field = document.createElement("fieldset");
  field.className = "code-switch";
  field.innerHTML = "<legend>Code</legend>" + choices.map((choice) => "<label><input type=radio name=code "
    + `value=${choice} ${choice === start ? "checked" : ""}><span>${choice}</span></label>`).join("");
  field.addEventListener("change", ({ target }) => {
    code.keep(target.value);
    code.show(target.value);
  });
  bar.prepend(field);
  if (start !== "key") code.show(start);
}

// The way through the course: the menu ticks the pages read to their end, and the first page says
// where to go on. The browser keeps them in the order in which they were read.
const pageAt = ({ pathname }) => pathname.split("/").slice(-2).join("/");
const way = {
  pages: new Map([...document.querySelectorAll("nav.bd-links li.toctree-l2 > a")]
    .map((link) => [pageAt(new URL(link.href)), link])
    .filter(([page]) => /^0\d_/.test(page))),
  kept: () => {
    try { return JSON.parse(localStorage.getItem("read") ?? "[]").filter((page) => way.pages.has(page)); }
    catch { return []; }
  },
  keep: (read) => { try { localStorage.setItem("read", JSON.stringify(read)); } catch { /* not kept */ } },
  show() {
    const read = way.kept();
    document.querySelectorAll(".read-tick, .read-so-far").forEach((part) => part.remove());
    for (const page of read) {
      way.pages.get(page).insertAdjacentHTML("beforeend",
        '&NoBreak;<span class="read-tick" role="img" aria-label="read">✓</span>');
    }
    const title = location.pathname.endsWith("/book/index.html") && document.querySelector("article h1");
    if (!title || !read.length) return;
    const pages = [...way.pages.keys()];
    const behind = pages.slice(pages.indexOf(read.at(-1)) + 1);
    const next = [...behind, ...pages].find((page) => !read.includes(page));
    const line = document.createElement("p");
    line.className = "read-so-far";
    line.append(`You have read ${read.length} of ${pages.length} pages. `);
    if (next) {
      const link = document.createElement("a");
      link.href = way.pages.get(next).href;
      link.textContent = way.pages.get(next).textContent.trim();
      line.append("Next: ", link, " ");
    }
    const forget = document.createElement("button");
    forget.type = "button";
    forget.textContent = "Forget this";
    forget.addEventListener("click", () => {
      way.keep([]);
      way.show();
    });
    line.append(forget);
    title.after(line);
  },
};
const here = pageAt(location);
const end = document.querySelector(".prev-next-footer");
if (end && way.pages.has(here)) {
  new IntersectionObserver(([{ isIntersecting }], observer) => {
    if (!isIntersecting) return;
    observer.disconnect();
    way.keep([...way.kept().filter((page) => page !== here), here]);
    way.show();
  }).observe(end);
}
way.show();

// Browsers let no page opened from a disk read its neighbours, so the search
// shows titles there, without the lines around a word.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
