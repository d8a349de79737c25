"""Fixtures of the treatment tests: the operating field of the coarse phantom bone."""

import pytest

from sacrofem.mesh.build import MeshedBone
from sacrofem.treatment.operating_field import OperatingField, operating_field


@pytest.fixture(scope="session")
def field(phantom_bone: MeshedBone) -> OperatingField:
    """The operating field of the symmetric phantom, 5 mm edges."""
    return operating_field(phantom_bone)
