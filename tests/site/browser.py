"""Find a Chromium for the tests of the site, and start it so that it asks nobody anything.

``python -m tests.site.browser --install`` makes sure that there is one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

COMMANDS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge"]
PLACES = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
]
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the rest of the world is away
    "--no-first-run",
]
HELP = (
    "No Chromium was found, so the tests that open pages are skipped. `make browser` installs one; "
    "or install Chromium, Chrome or Edge, or name a browser in COMPANION_BROWSER."
)


def find_browser() -> str | None:
    """Return the path of a Chromium, or None when there is none."""
    named = os.environ.get("COMPANION_BROWSER")
    if named:
        return named if Path(named).exists() else shutil.which(named)
    found = [path for command in COMMANDS if (path := shutil.which(command))]
    found += [path for path in PLACES if Path(path).exists()]
    return found[0] if found else _playwright_browser()


def launch(playwright: Playwright, executable: str) -> Browser:
    """Start the browser without a window."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    arguments = ARGUMENTS + (["--no-sandbox"] if is_root else [])  # its sandbox refuses root
    return playwright.chromium.launch(executable_path=executable, args=arguments)


def install() -> str | None:
    """Return a browser's path after trying, in turn, what can install one."""
    if found := find_browser():
        return found
    commands = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        commands.append(["apt-get", "install", "-y", "chromium"])
    for command in commands:
        try:
            subprocess.run(command, check=False, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{' '.join(command)}: {error}", file=sys.stderr)
        if found := find_browser():
            return found
    return None


def _playwright_browser() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


if __name__ == "__main__":
    browser = install() if "--install" in sys.argv[1:] else find_browser()
    print(f"Browser: {browser}" if browser else HELP)
