"""Opening a page in the browser and noting what happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from axe_playwright_python.base import AXE_SCRIPT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Response, Route

AXE_OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"],
    "resultTypes": ["violations"],
    "preload": False,  # it would load style sheets a second time, from wrong addresses
    # part of WCAG A, but off by default because axe calls it experimental
    "rules": {"label-content-name-mismatch": {"enabled": True}},
}
# Axe looks at each of the thousands of pieces of coloured code: one of each class is enough.
ONE_OF_EACH_CODE_COLOUR = """() => {
    const seen = new Set();
    for (const span of document.querySelectorAll("pre span:not(:has(*))")) {
        if (seen.has(span.className)) span.replaceWith(span.textContent);
        seen.add(span.className);
    }
}"""


@dataclass
class Visit:
    """What happened while a page was open."""

    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    overflow: int = 0


def open_page(browser: Browser, base: str, name: str, visit: Visit, **options: Any) -> Page:
    """Open a page with the rest of the world out of reach, and wait until it is at rest."""
    page = browser.new_context(reduced_motion="reduce", **options).new_page()
    page.set_default_timeout(15_000)

    def guard(route: Route) -> None:
        if route.request.url.startswith((base, "data:", "blob:")):
            route.continue_()
        else:
            visit.outside.append(route.request.url)
            route.abort()

    page.route("**/*", guard)

    def answered(response: Response) -> None:
        if not response.ok:
            visit.errors.append(f"not there: {response.url}")

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            visit.errors.append(message.text)

    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("requestfailed", lambda request: visit.errors.append(f"not loaded: {request.url}"))
    page.on("response", answered)
    page.on("console", said)
    page.goto(f"{base}{name}.html", wait_until="load")
    page.keyboard.press("Shift")  # the first key starts the explorers that are far from the view
    page.wait_for_function(
        "[...document.querySelectorAll('figure.explorer')].every(f => 'ready' in f.dataset)"
    )
    page.evaluate("window.MathJax?.startup?.promise")
    return page


def axe_violations(page: Page) -> list[str]:
    page.evaluate(ONE_OF_EACH_CODE_COLOUR)
    page.evaluate(AXE_SCRIPT)
    result = page.evaluate("options => axe.run(document, options)", AXE_OPTIONS)
    return [
        f"{rule['id']}: {node['target'][0]}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]
