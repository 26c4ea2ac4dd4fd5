from .classifiers import build_bag_classifier as build_bag_classifier
from .classifiers import build_lstm_classifier as build_lstm_classifier
from .decoding.sampling import generate_tokens as generate_tokens
from .decoding.sampling import next_token_probabilities as next_token_probabilities
from .gpt import build_gpt as build_gpt
from .layers import DecoderBlock as DecoderBlock
from .layers import PositionEmbedding as PositionEmbedding
from .pretrained.sentences import embed_texts as embed_texts
