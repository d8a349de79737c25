"""A box with everything at once: bone of random constants, cortex, springs, tractions."""

import numpy as np
from mpi4py import MPI

from problems.exact import model_of
from problems.meshes import box
from sacrofem.mechanics.elasticity import ElasticModel
from sacrofem.mechanics.materials import MaterialParameters, ModulusField
from sacrofem.mesh.bone_mesh import BoneMesh

SIZE_MM = (60.0, 30.0, 40.0)
CORTEX = MaterialParameters()


def random_box(cells: int) -> tuple[BoneMesh, ModulusField]:
    """Box and its elastic constants, the same at every call."""
    bone, rng = box(cells, SIZE_MM), np.random.default_rng(7)
    m = len(bone.tets)
    return bone, ModulusField(
        rng.uniform(1.0, 2000.0, m), rng.uniform(0.2, 0.45, m), rng.uniform(0.0, 1.0, m)
    )


def random_model(
    cells: int, order: int, comm: MPI.Comm = MPI.COMM_SELF
) -> tuple[ElasticModel, ModulusField]:
    """The package's model of it, standing."""
    bone, modulus = random_box(cells)
    return model_of(bone, order, CORTEX, comm=comm), modulus
