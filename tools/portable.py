"""Run pages on made-up machines: ``python -m tools.portable [--profile old …] [pages]``.

Each page runs in each profile (:mod:`tools.profiles`), and what it prints is compared with what is
stored, as ``make test`` does. The log opens with the processor and the libraries, since a failure
elsewhere cannot be read without them. What disagrees goes to ``_build/portable/failures.json`` too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools import profiles
from tools.notebooks import ROOT, Notebook, chosen_notebooks
from tools.running import Disagreement, RunError, disagreements, over_pages, run, stored_values

FAILURES = Path("_build/portable/failures.json")


async def compare(notebook: Notebook, profile: str) -> list[Disagreement]:
    """What the page says otherwise in a profile than it stores."""
    done = await run(notebook, profile, run_seconds=notebook.run_seconds or 0)
    return list(disagreements(notebook, notebook.code, stored_values(notebook), done))


async def try_profile(
    chosen: Sequence[Notebook], profile: str, workers: int
) -> list[dict[str, str]]:
    """Run the pages in one profile; tell each that agrees, and return what disagrees."""
    failures = []

    async def work(notebook: Notebook) -> list[Disagreement]:
        return await compare(notebook, profile)

    started = time.perf_counter()
    async for notebook, found in over_pages(chosen, work, workers):
        lines = [Disagreement(notebook.name, str(found))] if isinstance(found, RunError) else found
        failures += [{"profile": profile, "place": each.place, "what": each.what} for each in lines]
        verdict = f"{len(lines)} disagreements" if lines else "agrees"
        seconds = time.perf_counter() - started
        print(f"{profile}: {notebook.name}: {verdict} (after {seconds:.0f} s)", flush=True)
        for each in lines:
            print(f"  {each}", flush=True)
    return failures


async def try_all(
    chosen: Sequence[Notebook], names: Sequence[str], workers: int
) -> list[dict[str, str]]:
    return [each for name in names for each in await try_profile(chosen, name, workers)]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="portable", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks (all of the book's)")
    parser.add_argument(
        "--profile",
        action="append",
        choices=profiles.PROFILES,
        help="may be repeated (all of them)",
    )
    parser.add_argument("--workers", type=int, default=1, help="notebooks at a time (1)")
    options = parser.parse_args(arguments)
    chosen = chosen_notebooks(options.paths, root)
    print(profiles.describe_machine())
    names = options.profile or profiles.PROFILES
    print(*map(profiles.describe, names), sep="\n", flush=True)
    failures = asyncio.run(try_all(chosen, names, options.workers))
    (root / FAILURES).parent.mkdir(parents=True, exist_ok=True)
    (root / FAILURES).write_text(json.dumps(failures, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{len(failures)} disagreements, also in {FAILURES.as_posix()}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
