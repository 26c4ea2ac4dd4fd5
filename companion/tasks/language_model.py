"""A small language model from texts to a folder: tokeniser, GPT, training, measure and sampling."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.backend import keras
from companion._common.checking import UsageError, check_texts
from companion.evaluation.language import bits_per_byte
from companion.models.decoding.sampling import generate_tokens
from companion.models.gpt import build_gpt
from companion.preprocessing.tokenizer import BytePairTokenizer
from companion.tasks.folder import (
    read_folder,
    refusing,
    restore_weights,
    weights_of,
    write_folder,
)
from companion.tasks.parameters import check_parameters
from companion.training.processes import WAIT_SECONDS, check_processes
from companion.training.schedules import build_gpt_optimizer
from companion.training.trainer import History, Trainer

__all__ = ["LanguageModel"]


_KIND, _TOKENIZER = "language-model", "tokenizer.json"


class LanguageModel:
    """Learns to continue texts: byte-pair tokeniser, GPT, training and sampling in one.

    Args:
        vocabulary_size: Integer, at least 257. Token ids; 257 are single bytes and the end of a
            text. Defaults to 1000.
        sequence_length: Integer. Tokens that the model reads at most. Defaults to 128.
        hidden_dim: Integer. Defaults to 128. This and the next as in `build_gpt`.
        num_layers: Integer. Defaults to 4.
        num_heads: Integer. Defaults to 4.
        dropout: Float in [0, 1). Defaults to 0.
        seed: Integer. Decides weights and order. Defaults to 0.

    Attributes:
        steps: Integer. Steps trained.

    Example:

    >>> small = {"vocabulary_size": 258, "sequence_length": 8, "hidden_dim": 16, "num_layers": 1}
    >>> language = LanguageModel(**small)
    >>> options = {"steps": 20, "checkpoint_steps": 20, "batch_size": 4, "progress": False}
    >>> history = language.fit(["tick tock " * 30], **options)
    >>> language.steps
    20
    >>> text = language.generate("tick t", 2, temperature=0)
    >>> text.startswith("tick t") and len(text) > 6
    True

    Reference:
        Radford et al., 2019, Language Models are Unsupervised Multitask Learners.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int = 1000,
        sequence_length: int = 128,
        hidden_dim: int = 128,
        num_layers: int = 4,
        num_heads: int = 4,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.settings: dict[str, Any] = {
            "vocabulary_size": vocabulary_size,
            "sequence_length": sequence_length,
            "hidden_dim": hidden_dim,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "dropout": dropout,
            "seed": seed,
        }
        check_parameters(self.settings)
        self.tokenizer = BytePairTokenizer(vocabulary_size)
        self.model: keras.Model | None = None
        self.steps = 0

    def fit(
        self,
        texts: Sequence[str],
        *,
        steps: int = 3000,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        checkpoint_steps: int = 100,
        minutes: float | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        progress: str | bool = "auto",
        processes: int | None = None,
        wait_seconds: float = WAIT_SECONDS,
    ) -> History:
        """Learns from texts, from scratch, or from the newest checkpoint.

        AdamW; the learning rate rises over the first twentieth of `steps` and falls to a tenth
        along a cosine. It depends on the step alone, so a stopped run that is continued ends with
        the weights of one that was not stopped. Sets Keras's global seed.

        Args:
            texts: List of non-empty strings.
            steps: Integer. Steps planned, a multiple of `checkpoint_steps`. Defaults to 3000.
            batch_size: Integer. Windows of text in one step. Defaults to 32.
            learning_rate: Float. Its peak. Defaults to 0.003.
            checkpoint_steps: Integer. Steps from one checkpoint to the next; an epoch of the
                history is as long. Defaults to 100.
            minutes: Float or `None`. Stops at the first checkpoint after this time, whatever is
                planned; the same call goes on. Defaults to `None`.
            checkpoint_dir: Path of a folder that makes a stopped run continue, or `None`.
            progress: `"auto"` or `False`, as in `Trainer`. Defaults to `"auto"`.
            processes: Integer or `None`, as in `Trainer`; it must divide `batch_size`. Defaults to
                `None`.
            wait_seconds: Float, as in `Trainer`. Defaults to two minutes.

        Returns:
            A `History`.

        Raises:
            ValueError: If the texts are too short or a setting is not as above.
            CheckpointError: If `checkpoint_dir` holds another run or cannot be used.
            ChildProcessError: If one of several processes fails.
            TimeoutError: If one of them does not start in time.
        """
        _check_plan(steps, checkpoint_steps, batch_size, minutes)
        check_processes(processes, batch_size)
        texts, seed = check_texts(texts), self.settings["seed"]
        keras.utils.set_random_seed(seed)
        self.tokenizer.fit(texts)
        x, y = self._windows(texts, batch_size)
        self.model = self._compiled(steps, learning_rate, checkpoint_steps)
        trainer = Trainer(
            self.model,
            seed=seed,
            checkpoint_dir=checkpoint_dir,
            progress=progress,
            processes=processes,
            wait_seconds=wait_seconds,
        )
        history = trainer.fit(
            x,
            y,
            batch_size=batch_size,
            epochs=steps // checkpoint_steps,
            examples_per_epoch=checkpoint_steps * batch_size,
            minutes=minutes,
        )
        self.steps = history.epochs * checkpoint_steps
        return history

    def bits_per_byte(self, texts: Sequence[str]) -> float:
        """Returns how many bits a byte of these texts costs, see `bits_per_byte`."""
        return bits_per_byte(self._trained(), self.tokenizer, texts)

    def generate(
        self,
        prompt: str,
        num_tokens: int = 50,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> str:
        """Continues a text with drawn tokens, up to the end of a text if one is drawn.

        Args:
            prompt: String, not empty.
            num_tokens: Integer. Tokens to add; with the prompt's at most `sequence_length`.
                Defaults to 50.
            temperature: Float of at least 0, as in `generate_tokens`. Defaults to 1.
            top_k: Integer or `None`, as in `generate_tokens`.
            top_p: Float in (0, 1], as in `generate_tokens`.
            seed: Integer. Decides the draws. Defaults to 0.

        Returns:
            A string: the prompt and its continuation.

        Raises:
            ValueError: If the model is not trained, the prompt empty or too long, or a sampling
                argument outside its range.
        """
        model = self._trained()
        if not isinstance(prompt, str) or not prompt:
            raise UsageError("The prompt is empty: give at least one character to go on from.")
        ids = self.tokenizer.encode(prompt)
        longest = self.settings["sequence_length"] - 1
        if len(ids) > longest:
            raise UsageError(
                f"The prompt has {len(ids)} tokens, and the model reads at most {longest} before "
                "the first new one: shorten it."
            )
        options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        new = generate_tokens(model, ids, num_tokens, seed=seed, **options)
        end = new.index(self.tokenizer.end_id) if self.tokenizer.end_id in new else None
        return self.tokenizer.decode([*ids, *new[:end]])

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Saves weights, tokeniser and settings as files that cannot run code.

        A kill or a full disk leaves the old model or the new one whole.

        Args:
            folder: Path; created if needed. A language model there is replaced.

        Raises:
            ValueError: If the model is not trained, or the folder holds something else.
            OSError: If the folder cannot be written.
        """
        arrays = weights_of(self._trained())
        write_folder(
            Path(folder),
            _KIND,
            {
                "parameters": self.settings,
                "steps": self.steps,
                "num_tokens": self.tokenizer.vocabulary_size,
            },
            arrays=arrays,
            files={_TOKENIZER: json.dumps({"merges": self.tokenizer.merges}).encode()},
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> LanguageModel:
        """Loads what `save` wrote.

        Args:
            folder: Path of the folder.

        Returns:
            A `LanguageModel` that continues texts exactly as the saved one.

        Raises:
            ValueError: If a file is missing, damaged, of another format or of another model.
        """
        path = Path(folder)
        saved = read_folder(path, _KIND, files=[_TOKENIZER], count=_count)
        with refusing(path, _KIND):
            language = cls(**saved.settings["parameters"])
            merges = json.loads(saved.files[_TOKENIZER])["merges"]
            language.tokenizer = BytePairTokenizer.from_merges(merges)
            if language.tokenizer.vocabulary_size != saved.settings["num_tokens"]:
                raise UsageError(f"{_TOKENIZER} is that of another model")
            language.steps = saved.settings["steps"]
            model = language._build()
            restore_weights(model, saved.arrays)
            language.model = model
        return language

    def _compiled(self, steps: int, learning_rate: float, checkpoint_steps: int) -> keras.Model:
        model = self._build()
        model.compile(
            build_gpt_optimizer(steps, learning_rate, final_share=0.1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            # XLA makes one loop of many small operations; PyTorch has none.
            jit_compile=keras.backend.backend() != "torch",
            steps_per_execution=math.gcd(checkpoint_steps, 10),
        )
        return model

    def _build(self) -> keras.Model:
        names = ("sequence_length", "hidden_dim", "num_layers", "num_heads", "dropout")
        sizes = {name: self.settings[name] for name in names}
        return build_gpt(self.tokenizer.vocabulary_size, **sizes)

    def _trained(self) -> keras.Model:
        if self.model is None:
            raise UsageError("The model is not trained: call fit first, or LanguageModel.load.")
        return self.model

    def _windows(self, texts: list[str], batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns inputs and targets, shape (n, sequence_length); batches come out even."""
        length, end = self.settings["sequence_length"], self.tokenizer.end_id
        ids = np.array([i for text in texts for i in (end, *self.tokenizer.encode(text))], "int32")
        count = (len(ids) - 1) // length // batch_size * batch_size
        if count < 1:
            raise UsageError(
                f"The texts have {len(ids):,} tokens, too few for one batch of {batch_size} "
                f"windows of {length}: give more text, or a smaller batch_size or sequence_length."
            )
        x, y = ids[: count * length], ids[1 : count * length + 1]
        return x.reshape(count, length), y.reshape(count, length)


def _check_plan(steps: int, checkpoint_steps: int, batch_size: int, minutes: float | None) -> None:
    if steps < 1 or checkpoint_steps < 1 or steps % checkpoint_steps:
        raise UsageError(
            f"steps={steps} must be a positive multiple of checkpoint_steps={checkpoint_steps}."
        )
    if batch_size < 1 or not (minutes is None or 0 < minutes < math.inf):
        raise UsageError(f"batch_size={batch_size} and minutes={minutes} must be positive.")


def _count(settings: dict[str, Any]) -> int:
    """Returns how many numbers a model of these settings has, if there can be one."""
    parameters, num_tokens = settings["parameters"], settings["num_tokens"]
    check_parameters({**LanguageModel(**parameters).settings, "vocabulary_size": num_tokens})
    if type(settings["steps"]) is not int:
        raise UsageError(f"steps is {settings['steps']!r}")
    width = parameters["hidden_dim"]
    block = 12 * width**2 + 2 * width  # attention 4 width², feed-forward 8 width², two norms
    return int(num_tokens * width + parameters["num_layers"] * block + width)
