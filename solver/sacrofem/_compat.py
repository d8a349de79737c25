"""Differences between DOLFINx 0.9, 0.10 and 0.11; no other module tests versions."""

from typing import Any

import dolfinx
import numpy as np
from numpy.typing import NDArray
from packaging.version import Version

installed = Version(dolfinx.__version__)


def interpolation_points(element: Any) -> NDArray[np.float64]:
    """Points of an element: a method before 0.10, a property since (release notes 0.10)."""
    points = element.interpolation_points
    return np.asarray(points() if installed < Version("0.10") else points)


def geometry_dofmap(mesh: Any) -> NDArray[np.int32]:
    """Geometry nodes of each cell: ``dofmap`` before 0.11, ``dofmaps[0]`` since (deprecation)."""
    if installed < Version("0.11"):
        return np.asarray(mesh.geometry.dofmap)
    return np.asarray(mesh.geometry.dofmaps[0])
