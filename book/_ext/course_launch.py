"""Buttons that open a notebook on Colab or Binder, when the book's repository on GitHub is known.

The repository is the one that a GitHub workflow names, or else the checkout's ``origin``. Without
one the pages have no such buttons, so that none of them is dead.
"""

from __future__ import annotations

import os
import re
import subprocess

from sphinx.application import Sphinx
from sphinx.config import Config

# The publishing workflow stamps this branch; its notebooks are the ones that the pages show.
LAUNCH_BRANCH = "launch"


def find_repository(folder: str) -> str | None:
    """Return the ``owner/name`` of the repository on GitHub, or None when there is none."""
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return name
    try:
        command = ["git", "-C", folder, "remote", "get-url", "origin"]
        url = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"(?:^|[@/])github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$", url)
    return found[1] if found else None


def add_buttons(app: Sphinx, config: Config) -> None:
    """Tell the theme the repository and where its notebooks can be opened."""
    repository = find_repository(str(app.srcdir))
    if repository is None:
        return
    config.html_theme_options |= {
        "repository_url": f"https://github.com/{repository}",
        "repository_branch": LAUNCH_BRANCH,
        "path_to_docs": "",
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": {
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
            "notebook_interface": "jupyterlab",
        },
    }


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", add_buttons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
