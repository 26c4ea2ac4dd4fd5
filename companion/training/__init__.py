"""How a model learns: the Trainer, its checkpoints, schedules, and the law of scale."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
