"use strict";

// Repairs on every page. Browsers let no page opened from a disk read its neighbours, so the search
// shows titles there, without the lines around a word.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
