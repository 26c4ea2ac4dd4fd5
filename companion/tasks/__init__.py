"""From raw input to an answer, kept in a folder: fit, predict, save, load."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
