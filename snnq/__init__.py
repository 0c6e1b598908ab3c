"""Low-bit weight quantization in spiking neural networks: the functions behind the notebooks."""

import lazy_loader

from snnq.system.triton import say_nothing_of_its_absence

# The names are in `__init__.pyi`, where editors look for them too.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

say_nothing_of_its_absence()
