"""The tests' common ground: markers, the fast set's promise, a repeatable hypothesis.

The fast set, ``pytest -m "not tensorflow and not site and not slow"``, never imports TensorFlow.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

MARKERS = {
    "tensorflow": "imports TensorFlow, which takes seconds",
    "site": "builds the site or opens it in a browser",
    "slow": "takes more than about half a second: runs notebooks, trains",
}


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    try:
        from hypothesis import settings
    except ImportError:
        return  # then no test here uses it
    settings.register_profile("repeatable", derandomize=True, deadline=None)
    settings.load_profile("repeatable")


def pytest_collection_finish(session: pytest.Session) -> None:
    if "not tensorflow" in session.config.option.markexpr and "tensorflow" in sys.modules:
        raise pytest.UsageError(
            "Collecting the fast tests has imported TensorFlow. Import it, keras "
            "and companion._common.backend inside the tests that need them, and mark "
            "these 'tensorflow'."
        )


@pytest.fixture(autouse=True)
def no_hidden_tensorflow(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that is the first to import TensorFlow without saying so."""
    before = "tensorflow" in sys.modules
    yield
    marked = any(request.node.get_closest_marker(name) for name in MARKERS)
    if not before and not marked and "tensorflow" in sys.modules:
        pytest.fail("imports TensorFlow: mark the test with @pytest.mark.tensorflow")
