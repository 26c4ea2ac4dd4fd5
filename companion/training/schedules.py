"""How the learning rate moves while a language model trains."""

from __future__ import annotations

from companion._common.backend import keras
from companion._common.checking import check_whole, is_finite

__all__ = ["build_gpt_optimizer"]


def build_gpt_optimizer(
    num_steps: int, peak: float, final_share: float
) -> keras.optimizers.Optimizer:
    """Returns AdamW whose learning rate rises from zero and falls along half a cosine.

    Args:
        num_steps: Integer, at least 1. All steps of the training; the first twentieth rises.
        peak: Float above 0. The highest learning rate.
        final_share: Float in [0, 1]. What of the peak is left after the last step.

    Returns:
        A `keras.optimizers.AdamW`.

    Raises:
        ValueError: If an argument is not as above.

    Example:

    >>> optimizer = build_gpt_optimizer(1000, peak=0.003, final_share=0.1)
    >>> optimizer.get_config()["learning_rate"]["config"]["warmup_steps"]
    50

    Reference:
        Hoffmann et al., 2022, Training Compute-Optimal Large Language Models.
    """
    check_whole(num_steps, "num_steps", least=1)
    if not (is_finite(peak) and peak > 0):
        raise ValueError(f"peak={peak!r} must be a finite number above 0.")
    if not (is_finite(final_share) and 0 <= final_share <= 1):
        raise ValueError(f"final_share={final_share!r} must lie from 0 to 1.")
    rising = max(num_steps // 20, 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(num_steps - rising, 1),
        alpha=final_share,
        warmup_target=peak,
        warmup_steps=rising,
    )
    return keras.optimizers.AdamW(schedule, weight_decay=0.1, beta_2=0.95, clipnorm=1.0)
