"""Opening a page in the browser, noting what happens, and looking for what shuts a reader out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from axe_playwright_python.base import AXE_SCRIPT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response

AXE_OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"],
    "resultTypes": ["violations"],
    "preload": False,  # it would load style sheets a second time, from wrong addresses
    # part of WCAG A, but off by default because axe calls it experimental
    "rules": {"label-content-name-mismatch": {"enabled": True}},
}
# Axe looks at each of the thousands of pieces of coloured code and of formulas in the text: one of
# each class of code is enough, and one formula of each kind of place.
ONE_OF_EACH = """() => {
    const seen = new Set();
    const isSecond = (kind) => seen.has(kind) || !seen.add(kind);
    for (const span of document.querySelectorAll("pre span:not(:has(*))")) {
        if (isSecond(span.className)) span.replaceWith(span.textContent);
    }
    for (const formula of document.querySelectorAll("mjx-container:not([display])")) {
        const { color, fontSize } = getComputedStyle(formula);
        const place = formula.parentElement.parentElement;
        const kind = [place.tagName, place.className, color, fontSize].join();
        if (!isSecond(`formula ${kind}`)) continue;
        const { width, height } = formula.getBoundingClientRect();
        formula.replaceChildren();
        formula.style.cssText = `display: inline-block; width: ${width}px; height: ${height}px`;
    }
}"""
ALL_READY = """() =>
    [...document.querySelectorAll("figure.explorer")].every((one) => "ready" in one.dataset)"""


@dataclass
class Visit:
    """What happened while a page was open."""

    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    first_view: list[str] = field(default_factory=list, compare=False)
    """The addresses that were asked for until the page was loaded and its formulas set."""


def open_page(browser: Browser, base: str, name: str, visit: Visit, **options: Any) -> Page:
    """Open a page as one who was never here before."""
    return go_to(browser.new_context(reduced_motion="reduce", **options), base, name, visit)


def go_to(context: BrowserContext, base: str, name: str, visit: Visit) -> Page:
    """Open a page in a new tab, and wait until its formulas are set."""
    page = context.new_page()
    page.set_default_timeout(15_000)

    def listed(request: Request) -> None:
        visit.first_view.append(request.url)

    def asked(request: Request) -> None:
        if not request.url.startswith((base, "data:", "blob:")):
            visit.outside.append(request.url)

    def answered(response: Response) -> None:
        if response.status >= 400:  # 304 says that what the browser keeps is still good
            visit.errors.append(f"not there: {response.url}")

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            visit.errors.append(message.text)

    page.on("request", listed)
    page.on("request", asked)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("requestfailed", lambda request: visit.errors.append(f"not loaded: {request.url}"))
    page.on("response", answered)
    page.on("console", said)
    page.goto(f"{base}{name}.html", wait_until="load")
    page.evaluate("window.MathJax?.startup?.promise")
    page.remove_listener("request", listed)
    return page


def start_explorers(page: Page) -> None:
    """Press a key, which starts the explorers that are far from the view, and wait for them."""
    page.keyboard.press("Shift")
    page.wait_for_function(ALL_READY)


def overflow(page: Page) -> int:
    root = "document.documentElement"
    return int(page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))


def axe_violations(page: Page) -> list[str]:
    page.evaluate(ONE_OF_EACH)
    page.evaluate(AXE_SCRIPT)
    result = page.evaluate("options => axe.run(document, options)", AXE_OPTIONS)
    return [
        f"{rule['id']}: {node['target'][0]}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]
