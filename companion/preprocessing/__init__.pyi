from .pictures import read_picture as read_picture
from .text import build_tfidf as build_tfidf
from .text import build_vectorizer as build_vectorizer
from .text import count_tokens as count_tokens
from .text import restore_vectorizer as restore_vectorizer
from .text import unknown_share as unknown_share
from .tokenizer import BytePairTokenizer as BytePairTokenizer
