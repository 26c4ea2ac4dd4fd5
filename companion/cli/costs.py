"""What the command `companion cost` does."""

from __future__ import annotations

import argparse
import math

from companion._common.checking import UsageError
from companion.cli.shared import say

__all__ = ["cost"]

_SMALL, _LARGE = 1e-9, 1e15  # in between, amounts are written out


def cost(args: argparse.Namespace) -> None:
    """Prints what an API asks for a number of requests, with the date of the prices.

    Args:
        args: Parsed arguments: `requests`, `tokens_in`, `tokens_out` and `model`.

    Raises:
        UsageError: If the bill is larger than a number can be.
    """
    from companion.economics.prices import load_prices, token_cost_usd

    size = {"requests": args.requests, "tokens_in": args.tokens_in, "tokens_out": args.tokens_out}
    prices = load_prices()
    names = [args.model] if args.model else list(prices)
    bills = {name: token_cost_usd(name, **size) for name in names}
    if not all(map(math.isfinite, bills.values())):
        raise UsageError("the bill is larger than any number here: give fewer requests or tokens.")
    say(
        f"{args.requests:,.15g} requests of {args.tokens_in:,.15g} tokens in and "
        f"{args.tokens_out:,.15g} out, in USD:"
    )
    is_free = not (args.requests and (args.tokens_in or args.tokens_out))
    for name, bill in bills.items():
        price = prices[name]
        say(
            f"  {name:<24}{_amount(bill, is_free):>16}   {price.input_usd:g} in and "
            f"{price.output_usd:g} out per million tokens, {price.date}"
        )
    say("List prices, standard tier, from genai-prices 2026; no discounts and no taxes.")


def _amount(usd: float, is_free: bool) -> str:
    """Returns an amount to three significant digits or to the cent, whichever says more."""
    if usd == 0:
        return "0.00" if is_free else "below 1e-300"
    if not _SMALL <= usd < _LARGE:
        return f"{usd:.2e}"
    return f"{usd:,.{max(2, 2 - math.floor(math.log10(usd)))}f}"
