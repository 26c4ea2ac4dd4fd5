from .assistant import Assistant as Assistant
from .assistant import Reply as Reply
from .language_model import LanguageModel as LanguageModel
from .retrieval import Found as Found
from .retrieval import Retriever as Retriever
from .retrieval import cut_passages as cut_passages
from .retrieval import fuse_ranks as fuse_ranks
from .text_classifier import TextClassifier as TextClassifier
