"use strict";

// Repairs on every page. A formula, a printed line or, on a phone, a figure wider than its column
// scrolls; a key can scroll only what takes the focus. (The theme looks at printed lines when the
// window changes its size, but not when only the column does, as beside a folded sidebar.)
const WIDE = 'mjx-container[display="true"], div.cell_output:has(> img), pre, .cell_output > .output';
const markWide = () => {
  for (const part of document.querySelectorAll(WIDE)) {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
  }
};
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  new ResizeObserver(markWide).observe(document.querySelector("main") ?? document.body);
});

// On paper there is no dark theme.
const root = document.documentElement;
let themeOnScreen;
addEventListener("beforeprint", () => {
  themeOnScreen ??= root.dataset.theme;
  root.dataset.theme = "light";
});
addEventListener("afterprint", () => {
  root.dataset.theme = themeOnScreen;
  themeOnScreen = undefined;
});

// Browsers let no page opened from a disk read its neighbours, so the search
// shows titles there, without the lines around a word.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
