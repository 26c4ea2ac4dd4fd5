from .language_model import LanguageModel as LanguageModel
from .text_classifier import TextClassifier as TextClassifier
