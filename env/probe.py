"""Exits with status 0 if this Python can carry sacrofem, else names what it lacks."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - any Python may be the one that is asked
    sys.exit("its Python is older than 3.11")
try:
    import dolfinx
    import numpy as np
    from petsc4py import PETSc
except ImportError as error:
    sys.exit(f"it has no complete DOLFINx ({error})")
version = tuple(int(part) for part in dolfinx.__version__.split(".")[:2])
if not (0, 9) <= version < (0, 12):
    sys.exit(f"its DOLFINx is {dolfinx.__version__}, and 0.9 to 0.11 are supported")
if not np.issubdtype(PETSc.ScalarType, np.floating):
    sys.exit("its PETSc has complex numbers, and real ones are needed")
