"""How the learning rate moves while a language model trains."""

from __future__ import annotations

from companion._common.backend import keras

__all__ = ["build_gpt_optimizer"]


def build_gpt_optimizer(
    num_steps: int, peak: float, final_share: float
) -> keras.optimizers.Optimizer:
    """Returns AdamW whose learning rate rises from zero and falls along half a cosine.

    Args:
        num_steps: Integer. All steps of the training; the first twentieth of them rises.
        peak: Float. The highest learning rate.
        final_share: Float in [0, 1]. What of the peak is left after the last step.

    Returns:
        A `keras.optimizers.AdamW`.

    Reference:
        Hoffmann et al., 2022, Training Compute-Optimal Large Language Models.
    """
    rising = max(num_steps // 20, 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(num_steps - rising, 1),
        alpha=final_share,
        warmup_target=peak,
        warmup_steps=rising,
    )
    return keras.optimizers.AdamW(schedule, weight_decay=0.1, beta_2=0.95, clipnorm=1.0)
