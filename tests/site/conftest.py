"""The built site and a browser, both made once for all the tests that need them."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.site.browser import HELP, find_browser, launch
from tests.site.visits import Visit, go_to
from tools.notebooks import ROOT, toc_entries

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

BUILD_SECONDS = 600
PAGES = [*toc_entries(ROOT), "search", "genindex"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put a page's tests of one file after each other, so that it is opened once for all."""
    firsts: dict[object, int] = {}

    def place(item: pytest.Item) -> int:
        is_of_page = "opened" in getattr(item, "fixturenames", ())
        page = item.callspec.params["name"] if is_of_page else item  # type: ignore[attr-defined]
        return firsts.setdefault((item.path, page), len(firsts))

    items.sort(key=place)


@dataclass(frozen=True)
class Site:
    """A finished build: its folder, whether it went well, and what Sphinx said."""

    folder: Path
    returncode: int
    log: str


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site, built from the stored outputs by whichever test process comes first."""
    base = tmp_path_factory.getbasetemp()
    target = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    log, code = target / "build.log", target / "returncode"
    try:
        target.mkdir()
    except FileExistsError:
        wait_for(code)
    else:
        command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
        command += ["build", str(ROOT), "--all", "-W", "--keep-going", "-n"]
        command += ["--path-output", str(target)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, encoding="utf-8"
        )
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        code.with_suffix(".part").write_text(str(done.returncode))
        code.with_suffix(".part").replace(code)
    built = Site(target / "_build" / "html", int(code.read_text()), log.read_text("utf-8"))
    if not (built.folder / "index.html").exists():
        pytest.fail(f"the site was not built:\n{built.log}")
    return built


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + BUILD_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            pytest.fail(f"the site was not built within {BUILD_SECONDS} s")
        time.sleep(0.2)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Site) -> Iterator[str]:
    """The site's address on this machine, served as a web server would."""
    handler = functools.partial(QuietHandler, directory=str(site.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for one file: while it is open, asyncio has a loop that other tests would meet."""
    executable = find_browser()
    if executable is None:
        if os.environ.get("COMPANION_REQUIRE_BROWSER") == "1":
            pytest.fail(HELP)
        pytest.skip(HELP)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = launch(playwright, executable)
        yield chromium
        chromium.close()


@dataclass
class Opened:
    """The page that the last test had, what happened on it, and what was noted of it."""

    context: BrowserContext
    name: str = ""
    live: Page | None = None
    seen: Visit = field(default_factory=Visit)
    notes: dict[str, Any] = field(default_factory=dict)

    def page(self, base: str, name: str, prepare: Callable[[Page], object]) -> Page:
        """Return the page, which is opened and prepared unless the last test had it."""
        if self.live is None or self.name != name:
            if self.live is not None:
                self.live.close()
                self.live = None
            self.seen = Visit()
            page = go_to(self.context, base, name, self.seen)
            prepare(page)
            self.live, self.name = page, name
        return self.live


@pytest.fixture(scope="module")
def opened(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """One page at a time, for the tests of a file, in the view that it names."""
    context = browser.new_context(reduced_motion="reduce", **request.module.VIEW)
    yield Opened(context)
    context.close()
