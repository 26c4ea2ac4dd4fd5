"""The package behind *The Business of Large AI Models*: a room for each kind of thing.

Rooms and names are loaded on first use, so importing the package is quick and needs neither
TensorFlow nor Matplotlib.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*__all__, "__version__"]
