"""What tests of several rooms stand on."""

from __future__ import annotations

import numpy as np
import pytest


class Voice:
    """Says a second of a tone for each sentence, and remembers the sentences."""

    def __init__(self):
        self.heard = []

    def say(self, texts, sample_rate):
        """Returns a sound for each text."""
        self.heard += texts
        return [np.full(sample_rate, 0.5, np.float32) for _ in texts]


@pytest.fixture
def voice(monkeypatch):
    """A voice in place of the packaged one."""
    from companion.models.pretrained import voices

    voice = Voice()
    monkeypatch.setattr(voices, "load_voice", lambda name: voice)
    return voice
