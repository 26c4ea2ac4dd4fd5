"""What the processor's own meter says about a piece of work, where it may be read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

__all__ = ["measure_joules"]

_ZONE = re.compile(r"intel-rapl:\d+")  # a whole package; intel-rapl:0:0 and the like are its parts


def measure_joules(
    work: Callable[[], object], folder: str | Path = "/sys/class/powercap"
) -> float | None:
    """Runs a piece of work and returns the energy that the processor's packages drew meanwhile.

    Linux shows the meter of Intel's and AMD's processors (RAPL) as counters in microjoules. They
    count the whole package, so other programs' work is in them, and memory, disk, fans and losses
    of the power supply are not. A counter that starts again at zero is put right once; work of an
    hour or more may pass that point twice, which cannot be seen.

    Args:
        work: callable without arguments. It is called once, whether or not a meter is found.
        folder: str or path. Where Linux shows its meters. Defaults to `"/sys/class/powercap"`.

    Returns:
        A float, in joules, or `None` where no meter can be read: on other systems, on most virtual
        machines and in most containers, and without the right to, which many systems reserve to
        their administrator.

    Example:

    >>> measure_joules(lambda: sum(range(1000)), folder="no such folder") is None
    True

    Reference:
        David et al., 2010: RAPL, Memory Power Estimation and Capping.
    """
    zones = _packages(Path(folder))
    before = [_read(zone / "energy_uj") for zone in zones]
    work()
    joules = 0.0
    for zone, first in zip(zones, before, strict=True):
        last = _read(zone / "energy_uj")
        if first is None or last is None:
            return None
        if last < first:
            most = _read(zone / "max_energy_range_uj")
            if most is None or last + most < first:
                return None
            last += most
        joules += (last - first) / 1e6
    return joules if zones else None


def _packages(folder: Path) -> list[Path]:
    """The meters of whole packages; one of the whole board would count them twice."""
    try:
        found = sorted(zone for zone in folder.iterdir() if _ZONE.fullmatch(zone.name))
        return [zone for zone in found if (zone / "name").read_text().startswith("package")]
    except OSError:
        return []


def _read(path: Path) -> int | None:
    """A counter, or `None` where it cannot be read."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
