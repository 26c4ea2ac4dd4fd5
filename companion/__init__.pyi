from . import data as data
from . import economics as economics
from . import evaluation as evaluation
from . import models as models
from . import preprocessing as preprocessing
from . import serving as serving
from . import tasks as tasks
from . import teaching as teaching
from . import training as training
from .economics.factsheet import facts as facts

__version__: str
