"""Low-bit weight quantization in spiking neural networks: the functions behind the notebooks."""

import lazy_loader

# The names are in `__init__.pyi`, where editors look for them too.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
