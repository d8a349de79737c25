"""All checks, in rising order."""

from functools import partial

from problems import (
    assembler,
    broken,
    calculix,
    contrast,
    energy,
    eshelby,
    ligaments,
    manufactured,
    patch,
    ranks,
    spheres,
    supports,
)
from problems.row import Check

CHECKS = (
    Check(
        "Patch test",
        patch.run,
        broken.LOWER_POISSON,
        partial(patch.run, "small"),
    ),
    Check(
        "Patch test with a cortex",
        patch.membrane,
        broken.NOT_IN_PLANE,
        partial(patch.membrane, "small"),
    ),
    Check(
        "Manufactured solutions",
        manufactured.run,
        broken.PLANE_STRESS,
        partial(manufactured.rates, 2, manufactured.JUMP, "small"),
    ),
    Check(
        "Supports: bar on springs",
        supports.run,
        broken.SWAPPED_SPRINGS,
        partial(supports.run, "small"),
    ),
    Check(
        "Ligament on an elastic body",
        ligaments.run,
        broken.LIGAMENT_HOLDS_ALL_WAYS,
        partial(ligaments.run, "small"),
    ),
    Check(
        "Lamé's hollow sphere on springs",
        spheres.hollow,
        broken.SWAPPED_SPRINGS,
        partial(spheres.hollow, "small"),
    ),
    Check(
        "Hollow sphere in a membrane",
        spheres.membrane,
        broken.NOT_IN_PLANE,
        partial(spheres.membrane, "small"),
        may_miss=("thin shell, outer wall, P1",),
    ),
    Check(
        "Eshelby's inclusion: lesion and cement",
        eshelby.run,
        broken.LOWER_POISSON,
        partial(eshelby.following, "cement", eshelby.SMALL_EDGE_MM),
        may_miss=("cells mixed by", "uniform in these"),
    ),
    Check(
        "Energy is half the work",
        energy.run,
        broken.NOT_IN_PLANE,
        partial(energy.run, "small"),
    ),
    Check(
        "Another assembler: scikit-fem",
        assembler.run,
        broken.LOWER_POISSON,
        partial(assembler.run, "small"),
    ),
    Check(
        "Another code: CalculiX",
        calculix.run,
        broken.LOWER_POISSON,
        partial(calculix.run, "small"),
    ),
    Check(
        "Ranks",
        ranks.run,
        broken.LOCAL_NUMBERS,
        partial(ranks.run, "small", broken=True),
    ),
    Check(
        "Contrast of cement to lesion",
        contrast.run,
        broken.ONLY_JACOBI,
        partial(contrast.run, "small"),
    ),
)
