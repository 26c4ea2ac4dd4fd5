"""The package behind *The Business of Large AI Models*.

Every public name can be used as ``companion.NAME``. Names are loaded on first use, so importing the
package is quick and needs neither TensorFlow nor Matplotlib.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# Both are read when TensorFlow starts: without them it writes notices into every first output, and
# oneDNN's reordered sums make the same training end elsewhere on another processor.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

_MODULES = {
    "autodiff": ["Tensor"],
    "classifier": ["TextClassifier"],
    "data": [
        "Card",
        "Split",
        "TextDataset",
        "find_duplicates",
        "list_datasets",
        "load_chinese_reviews",
        "load_dataset",
        "load_food_reviews",
    ],
    "download": ["DownloadError", "download_file"],
    "economics": [
        "Range",
        "ThresholdValue",
        "ValueModel",
        "ValueSimulation",
        "break_even_volume",
        "load_businesses",
        "simulate_value",
        "threshold_value",
        "value_per_message",
        "value_sensitivity",
    ],
    "evaluation": [
        "Calibration",
        "Interval",
        "accuracy_interval",
        "bootstrap_interval",
        "calibration",
        "difference_interval",
    ],
    "evidence": ["load_evidence"],
    "exporting": ["OnnxClassifier", "export_onnx", "load_model"],
    "factsheet": ["Fact", "facts"],
    "generation": ["generate_tokens", "next_token_probabilities"],
    "images": ["ImageDataset", "ImageSplit", "load_digits"],
    "language": ["LanguageModel", "bits_per_byte"],
    "lessons": ["Exercise", "outcome", "predict", "quiz"],
    "models": ["build_bag_classifier", "build_gpt", "build_lstm_classifier"],
    "plays": ["PlayDataset", "load_shakespeare"],
    "plots": [
        "describe",
        "figure",
        "label_lines",
        "plot_calibration",
        "plot_learning_curve",
        "plot_threshold_value",
        "show",
    ],
    "photos": ["Photo", "load_photo"],
    "pretrained": ["embed_texts"],
    "pricing": ["TokenPrice", "break_even_requests", "load_prices", "token_cost_usd"],
    "serving": ["Service"],
    "scaling": ["ScalingLaw", "fit_scaling_law"],
    "sweep": ["train_on_bytes"],
    "text": ["build_tfidf", "build_vectorizer", "check_texts", "unknown_share"],
    "tokenizer": ["BytePairTokenizer"],
    "training": ["CheckpointError", "History", "ProgressBar", "Trainer"],
    "widgets": ["Control", "Explorer", "explore_threshold_value"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'companion' has no attribute {name!r}; see dir(companion)")
    value = getattr(import_module(f"companion.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
