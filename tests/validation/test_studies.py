"""The studies of the validation on a coarse phantom: signs, orders and symmetries, no sizes.

The page is made with finer bones by ``make validate``; here every study must still run.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from studies import bones, column, fractures, joints, sacroplasty, vertebral
from studies.all_studies import STUDIES
from studies.row import Published, Row, percent, within
from studies.unaddressed import UNADDRESSED

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.mesh.bone_mesh import facet_areas_mm2, signed_volumes_mm3
from sacrofem.mesh.build import MeshedBone
from sacrofem.treatment.plan import FracturePlan

CACHED = (
    bones.meshed,
    column.body,
    sacroplasty.group,
    fractures.waites_states,
    vertebral.with_void,
    vertebral.sound,
)


def forget() -> None:
    for function in CACHED:
        function.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def coarse(phantom_bone: MeshedBone) -> Iterator[None]:
    """The session's own coarse phantom in place of the studies' bones."""
    forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bones, "phantom", lambda *_: phantom_bone)
        yield
    forget()


def test_cement_stiffens_a_little_and_more_cement_more() -> None:
    """Protects: the rows of Anderson and Richards: sign, order of volumes, strain in the cement."""
    three, nine = (
        sacroplasty.group("small", fills_ml, bones.OSTEOPOROTIC_YEARS)
        for fills_ml in ((3.0, 0.0), (6.0, 3.0))
    )
    assert 1.0 < three.stiffening < nine.stiffening < 1.1
    assert sacroplasty.strain_change(nine, None) < sacroplasty.strain_change(nine, 2.0) < 1.0


def test_a_fracture_softens_and_cement_brings_back_a_part() -> None:
    """Protects: the row of Waites: cement bridges the gap and makes no bone stiffer than sound."""
    found = fractures.waites_states("small", FracturePlan("I").gap_mm)
    assert found["broken"] < found["posterior"] < 1.0
    assert found["broken"] < found["lateral"] < 1.0


def test_the_tip_of_a_fracture_is_below_it_in_its_plane() -> None:
    """Protects: the row of Whitlow reads its stress ahead of the gap, not in it."""
    broken = fractures.break_alae(bones.meshed("small"), (1, 2), 0.5, 1.0)
    mesh = broken.bench.bone.mesh
    for lesion in broken.lesions:
        gap = lesion.fracture
        assert gap is not None
        ahead = fractures.ahead_of(broken, gap, np.zeros(len(mesh.tets)))
        assert ahead.any()
        assert not ahead[gap.cells].any()
        height = mesh.frame.to_local(mesh.centroids_mm)[:, 2]
        assert height[ahead].max() < height[gap.cells].min()


def test_the_cut_body_is_whole_and_is_held_below() -> None:
    """Protects: the cells of S1 below its endplate, with the endplate loaded and S1|S2 held."""
    mesh = column.body("small").bone.mesh
    whole = bones.meshed("small").bone.mesh
    assert (signed_volumes_mm3(mesh.points_mm, mesh.tets) > 0.0).all()
    areas = [
        facet_areas_mm2(m.points_mm, m.facets[m.facet_tag == SurfaceTag.ENDPLATE_S1]).sum()
        for m in (mesh, whole)
    ]
    assert areas[0] == pytest.approx(areas[1])
    held = np.isin(mesh.facet_tag, (SurfaceTag.AURICULAR_LEFT, SurfaceTag.AURICULAR_RIGHT))
    height = mesh.frame.to_local(mesh.points_mm[mesh.facets[held]].mean(axis=1))[:, 2]
    assert held.sum() > 20
    assert height.max() < 0.5 * mesh.frame.to_local(mesh.points_mm)[:, 2].min()


def test_a_void_costs_stiffness_by_its_volume_and_not_by_its_side() -> None:
    """Protects: the rows of lytic voids; left and right are mirror images."""
    bench = column.body("small")
    whole = bench.stiffness_N_per_mm(vertebral.sound("small"))

    def loss(share: float, *off: tuple[float, float, float]) -> float:
        return 1.0 - bench.stiffness_N_per_mm(vertebral.with_void("small", share, *off)) / whole

    small, large = loss(0.04), loss(0.20)
    assert 0.0 < small < large < 1.0
    left, right = loss(0.10, (10.0, 0.0, 0.0)), loss(0.10, (-10.0, 0.0, 0.0))
    assert left == pytest.approx(right, rel=0.1)


def test_a_softer_cartilage_is_softer_in_its_own_cells_alone() -> None:
    """Protects: the variation of the joint's rows changes the joint and no bone."""
    bench = bones.meshed("small")
    found = joints.softer(bench.bone.mesh, bench.intact, 0.1)
    np.testing.assert_array_equal(found.young_MPa, bench.intact.young_MPa)


def test_a_row_judges_what_it_says() -> None:
    """Protects: a miss is shown as a miss, and NaN is one."""
    source = Published("someone", "S", "1 to 2")
    assert Row(source, "1.5", within(1.5, 1.0, 2.0)).verdict == "inside"
    assert Row(source, "nan", within(float("nan"), 1.0, 2.0)).verdict == "OUTSIDE"
    assert Row(source, "up", False, trend=True).verdict == "TREND MISSED"
    assert Row(source, "x", None).verdict == "-"
    assert percent(0.6) == "-40.0 %"


def test_every_source_says_how_it_is_known() -> None:
    """Protects: no number stands in the page without its confidence."""
    assert all(published.tag in "SMD-" and why for published, why in UNADDRESSED)
    titles = [study.title for study in STUDIES]
    assert len(set(titles)) == len(titles)
