"""What an API's tokens cost, and from which volume on an own model is cheaper."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from companion._common.checking import check_amounts, close_to
from companion.economics.factsheet import facts

__all__ = ["TokenPrice", "break_even_requests", "load_prices", "token_cost_usd"]


_SOURCE = "genaiprices2026"


@dataclass(frozen=True)
class TokenPrice:
    """An API model's price per million tokens, on a date."""

    model: str
    input_usd: float
    output_usd: float
    date: str


def load_prices() -> dict[str, TokenPrice]:
    """Returns the prices among the facts that are dated to the day, the cheapest input first.

    Returns:
        A dict from the model's name to its `TokenPrice`.

    Example:

    >>> load_prices()["gpt-6-luna"]
    TokenPrice(model='gpt-6-luna', input_usd=0.1, output_usd=0.5, date='2026-11-20')

    Reference:
        genai-prices, 2026: the packaged table of list prices at that date.
    """
    return dict(_prices())


@cache
def _prices() -> dict[str, TokenPrice]:
    prices = []
    for key, fact in facts.items():
        other = facts.get(key.replace("_input_price_usd", "_output_price_usd"))
        if not fact.model or other in (None, fact) or fact.source != _SOURCE:
            continue
        if len(fact.date) == len("2026-11-20"):
            prices.append(TokenPrice(fact.model, fact.number, other.number, fact.date))
    return {price.model: price for price in sorted(prices, key=lambda price: price.input_usd)}


def token_cost_usd(
    model: str | TokenPrice, *, requests: float, tokens_in: float, tokens_out: float
) -> float:
    """Returns what an API asks for requests of one size.

    Args:
        model: str, a name in `load_prices()`, or a `TokenPrice`.
        requests: float. Number of requests, at least 0.
        tokens_in: float. Tokens sent with each, instructions included, at least 0.
        tokens_out: float. Tokens answered to each, at least 0.

    Returns:
        A float in US dollars.

    Raises:
        ValueError: If the model is unknown, or a number is negative or not finite.

    Example:

    >>> token_cost_usd("gpt-6-luna", requests=1_000_000, tokens_in=200, tokens_out=2)
    21.0
    """
    check_amounts(requests=requests, tokens_in=tokens_in, tokens_out=tokens_out)
    if not isinstance(model, TokenPrice):
        prices = _prices()
        if model not in prices:
            raise ValueError(f"There is no price of {model!r}; {close_to(model, prices)}")
        model = prices[model]
    return requests * (tokens_in * model.input_usd + tokens_out * model.output_usd) / 1e6


def break_even_requests(
    request_usd: float, *, fixed_usd: float, own_request_usd: float = 0.0
) -> float:
    """Returns the requests in a year from which on an own model is cheaper than an API.

    Args:
        request_usd: float. What the API asks for one request, at least 0.
        fixed_usd: float. What the own model costs in a year whatever the volume, at least 0.
        own_request_usd: float. What it costs besides for each request, at least 0. Defaults to 0.

    Returns:
        A float, fixed_usd / (request_usd - own_request_usd); infinite where the own model's request
        costs no less than the API's.

    Raises:
        ValueError: If a number is negative or not finite.

    Example:

    >>> break_even_requests(0.002, fixed_usd=3000, own_request_usd=0.0005)
    2000000.0
    """
    check_amounts(request_usd=request_usd, fixed_usd=fixed_usd, own_request_usd=own_request_usd)
    saved_usd = request_usd - own_request_usd
    return fixed_usd / saved_usd if saved_usd > 0 else math.inf
