"""Turns texts into rows of token ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion._common.checking import UsageError, check_texts, check_whole
from companion._common.extras import import_extra

__all__ = [
    "build_tfidf",
    "build_vectorizer",
    "count_tokens",
    "restore_vectorizer",
    "unknown_share",
]


if TYPE_CHECKING:
    import keras
    from sklearn.pipeline import Pipeline

_PADDING_ID, _UNKNOWN_ID = 0, 1

_CHARACTERS = 2**18  # of a batch whose texts are padded to the longest

_SPLITS = {"word": "whitespace", "character": "character"}


def build_vectorizer(
    texts: Sequence[str],
    *,
    vocabulary_size: int = 1000,
    sequence_length: int = 100,
    split: str = "word",
) -> keras.layers.TextVectorization:
    """Builds a layer that maps each text to a row of token ids, with a vocabulary from `texts`.

    The most frequent tokens get the ids 2, 3, 4 …; id 0 is padding, added after the text, and id 1
    stands for every token outside the vocabulary. Letters A–Z become small and ASCII punctuation
    is dropped. Give it training texts only: a vocabulary is learnt too.

    Args:
        texts: List of strings to take the vocabulary from.
        vocabulary_size: Integer, at least 3. Number of ids, padding and unknown included. Defaults
            to 1000.
        sequence_length: Integer. Tokens kept of each text, from its beginning. Defaults to 100.
        split: `"word"` splits at spaces; `"character"` is for languages written without them, such
            as Chinese, and takes a space for a token too. Defaults to `"word"`.

    Returns:
        `keras.layers.TextVectorization` whose output has the shape `(len(texts), sequence_length)`
        and the dtype int64.

    Raises:
        ValueError: If a text, a size or `split` is not one of the above.

    Example:

    >>> vectorizer = build_vectorizer(["good tea", "good coffee"], sequence_length=4)
    >>> print(*vectorizer.get_vocabulary(), sep=", ")
    , [UNK], good, tea, coffee
    >>> print(vectorizer(["Good cocoa!"]).numpy())
    [[2 1 0 0]]
    """
    vectorizer = _vectorizer(vocabulary_size, sequence_length, split)
    vectorizer.adapt(check_texts(texts))
    if not vectorizer.get_vocabulary(include_special_tokens=False):
        raise UsageError(
            "no token is left of these texts: punctuation is dropped, and they hold nothing else. "
            "Give texts with words in them."
        )
    return vectorizer


def build_tfidf(
    max_features: int | None = None, *, sublinear_tf: bool = False, **options: Any
) -> Pipeline:
    """Builds an unfitted transformer from texts to TF-IDF weights, one column for each word.

    It is scikit-learn's `TfidfVectorizer`, but for one thing: of the words that occur equally often
    at the end of the list, that one keeps those which the processor's way of sorting puts first, so
    that two computers may read different words. Here the alphabet decides.

    Args:
        max_features: Integer, at least 1, or `None`. How many of the most frequent words to keep;
            all of them if `None`.
        sublinear_tf: Boolean. Whether a word's count in a text enters by its logarithm. Defaults to
            `False`.
        **options: Further arguments of scikit-learn's `CountVectorizer`, such as `ngram_range`.

    Returns:
        `sklearn.pipeline.Pipeline` that maps a list of texts to a sparse float64 table of shape
        `(len(texts), words)`, with rows of length 1.

    Raises:
        ValueError: If `max_features` is no whole number of at least 1.

    Example:

    >>> words = build_tfidf(2).fit(["black tea", "green tea", "green leaves"])
    >>> print(*words.get_feature_names_out())
    green tea

    Reference:
        Spärck Jones, 1972, A Statistical Interpretation of Term Specificity.
    """
    import_extra("sklearn", "train")
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.feature_selection import SelectKBest
    from sklearn.pipeline import make_pipeline

    if max_features is not None:
        max_features = check_whole(max_features, "max_features", least=1)
    most_frequent = SelectKBest(_total, k=max_features or "all")  # its sort is stable
    return make_pipeline(
        CountVectorizer(**options), most_frequent, TfidfTransformer(sublinear_tf=sublinear_tf)
    )


def _total(counts: Any, labels: Any = None) -> np.ndarray:
    return np.asarray(counts.sum(axis=0)).ravel()


def restore_vectorizer(
    vocabulary: Sequence[str],
    *,
    vocabulary_size: int = 1000,
    sequence_length: int = 100,
    split: str = "word",
) -> keras.layers.TextVectorization:
    """Builds the layer of `build_vectorizer` from a vocabulary that it learnt before.

    Args:
        vocabulary: List of strings, the tokens of the ids 2, 3, 4 …: what the old layer's
            `get_vocabulary(include_special_tokens=False)` gave.
        vocabulary_size: Integer, as given to `build_vectorizer`. Defaults to 1000.
        sequence_length: Integer, as given to `build_vectorizer`. Defaults to 100.
        split: String, as given to `build_vectorizer`. Defaults to `"word"`.

    Returns:
        `keras.layers.TextVectorization` that gives the ids that the old one gave.

    Raises:
        ValueError: If a setting is out of range, or the vocabulary is too long, repeats a token
            or holds something else than strings.

    Example:

    >>> vectorizer = restore_vectorizer(["good", "tea"], sequence_length=4)
    >>> print(vectorizer(["Good tea?"]).numpy())
    [[2 3 0 0]]
    """
    if not all(isinstance(token, str) for token in vocabulary):
        raise ValueError("vocabulary must hold strings only.")
    return _vectorizer(vocabulary_size, sequence_length, split, vocabulary=list(vocabulary))


def _vectorizer(
    vocabulary_size: int, sequence_length: int, split: str, **options: Any
) -> keras.layers.TextVectorization:
    if split not in _SPLITS:
        raise ValueError(f"split is {split!r}; it must be 'word' or 'character'.")
    # Padding and unknown take two ids.
    vocabulary_size = check_whole(vocabulary_size, "vocabulary_size", least=3)
    sequence_length = check_whole(sequence_length, "sequence_length", least=1)
    from companion._common.backend import keras

    return keras.layers.TextVectorization(
        vocabulary_size, split=_SPLITS[split], output_sequence_length=sequence_length, **options
    )


def count_tokens(
    vectorizer: keras.layers.TextVectorization, texts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Counts every text's tokens and its unknown ones, before anything is cut off.

    Args:
        vectorizer: A layer from `build_vectorizer`.
        texts: List of strings, shape `(n,)`.

    Returns:
        Two integer arrays of shape `(n,)`: tokens, and tokens outside the vocabulary.

    Raises:
        ValueError: If `texts` is not a list of non-empty strings.

    Example:

    >>> vectorizer = build_vectorizer(["good tea"], sequence_length=2)
    >>> tokens, unknown = count_tokens(vectorizer, ["good green tea", "cocoa"])
    >>> print(tokens, unknown)
    [3 1] [1 1]
    """
    texts = check_texts(texts)
    known = vectorizer.get_vocabulary(include_special_tokens=False)
    whole = type(vectorizer).from_config(
        {**vectorizer.get_config(), "output_sequence_length": None, "vocabulary": known}
    )
    counts = []
    for batch in _batches(texts):
        ids = np.asarray(whole(batch))  # (texts, tokens of the longest)
        counts.append([(ids != _PADDING_ID).sum(axis=1), (ids == _UNKNOWN_ID).sum(axis=1)])
    tokens, unknown = np.concatenate(counts, axis=1)
    return tokens, unknown


def _batches(texts: list[str]) -> Iterator[list[str]]:
    """Yields neighbours together, fewer where one is long: a batch is as wide as its longest."""
    batch: list[str] = []
    longest = 0
    for text in texts:
        longest = max(longest, len(text))
        if batch and (len(batch) == 64 or longest * (len(batch) + 1) > _CHARACTERS):
            yield batch
            batch, longest = [], len(text)
        batch.append(text)
    yield batch


def unknown_share(vectorizer: keras.layers.TextVectorization, texts: Sequence[str]) -> float:
    """Returns the share of all tokens in `texts` that the vocabulary does not hold.

    Args:
        vectorizer: A layer from `build_vectorizer`.
        texts: List of strings. Every token counts, also those that the layer would cut off.

    Returns:
        Float from 0 to 1; 0 if the texts hold no token at all.

    Raises:
        ValueError: If `texts` is not a list of non-empty strings.

    Example:

    >>> vectorizer = build_vectorizer(["good tea"])
    >>> unknown_share(vectorizer, ["good green tea", "cocoa"])
    0.5
    """
    tokens, unknown = count_tokens(vectorizer, texts)
    return float(unknown.sum() / max(tokens.sum(), 1))
