"""Purchases, customer by customer, with the day of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from companion.data._packaged import read_verified
from companion.data.cards import Card, read_card

__all__ = ["PurchaseDataset", "load_cdnow"]


_SHA256 = "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef"


@dataclass(frozen=True)
class PurchaseDataset:
    """Purchases in the order of customers, each one's by day, and the card.

    Attributes:
        customers: int64 array of shape (purchases,). Who bought: 0, 1, 2 …
        days: datetime64[D] array of shape (purchases,).
        numbers: int64 array of shape (purchases,). Compact discs bought.
        amounts_usd: float64 array of shape (purchases,). What they cost in US dollars; a few: 0.
        card: `Card`.
    """

    customers: NDArray[np.int64]
    days: NDArray[np.datetime64]
    numbers: NDArray[np.int64]
    amounts_usd: NDArray[np.float64]
    card: Card

    def __len__(self) -> int:
        return len(self.customers)


def load_cdnow() -> PurchaseDataset:
    """Load a year and a half of purchases of compact discs.

    Returns:
        A `PurchaseDataset`.

    Raises:
        ModuleNotFoundError: The package lifetimes, which holds the data, is not installed.
        RuntimeError: A file of that package is missing, damaged or of another version.

    Example:

    >>> shop = load_cdnow()
    >>> len(shop), int(shop.customers.max()) + 1, str(shop.days.max())
    (69659, 23570, '1998-06-30')

    Reference:
        Fader & Hardie, 2001, Forecasting Repeat Sales at CDNOW.
    """
    content = read_verified("lifetimes", "datasets/CDNOW_master.txt", _SHA256).decode()
    rows = [line.split() for line in content.splitlines()[1:] if line.strip()]
    customers, days, numbers, amounts = zip(*rows, strict=True)
    return PurchaseDataset(
        customers=np.array(customers, np.int64) - 1,
        days=np.array([f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in days], "datetime64[D]"),
        numbers=np.array(numbers, np.int64),
        amounts_usd=np.array(amounts, np.float64),
        card=read_card("cdnow"),
    )
