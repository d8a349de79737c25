"""sacrofem: finite-element simulation of cement augmentation of the sacrum."""

from importlib.metadata import version

__version__ = version("sacrofem")
