"""The colours of figures and explorers."""

from __future__ import annotations

__all__ = ["CARD", "INK", "LINES", "MUTED", "PALETTE"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")

# For light backgrounds, from darkest to lightest: text, axes, grid, card.
INK, MUTED, LINES, CARD = "#1f2933", "#52606d", "#dde2e8", "#f8f9fb"
