from .intervals import Interval as Interval
from .intervals import accuracy_interval as accuracy_interval
from .intervals import bootstrap_interval as bootstrap_interval
from .intervals import difference_interval as difference_interval
from .language import bits_per_byte as bits_per_byte
from .reliability import Calibration as Calibration
from .reliability import calibration as calibration
