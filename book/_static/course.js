"use strict";

// Repairs on every page. A formula wider than its column scrolls; a key can scroll only what takes
// the focus.
const markWideFormulas = () => {
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  }
};
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  new ResizeObserver(markWideFormulas).observe(document.querySelector("main") ?? document.body);
});

// Browsers let no page opened from a disk read its neighbours, so the search
// shows titles there, without the lines around a word.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
