"""Shared fixtures: a box of tetrahedra with joints, a coarse phantom bone, the real CT."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.anatomy.atlas import Atlas
from sacrofem.anatomy.canal import Canal
from sacrofem.anatomy.curve import SacralCurve
from sacrofem.anatomy.foramina import FACES, LEVELS, SIDES, Foramen, Opening
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.anatomy.zones import make_map
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.phantom import PhantomSpec, make_phantom
from sacrofem.image.volume import CtVolume, LabelMap
from sacrofem.mesh.bone_mesh import BoneMesh, Part, boundary_facets
from sacrofem.mesh.build import MeshedBone, MeshRequest, build_mesh
from sacrofem.mesh.fidelity import PartFidelity
from sacrofem.mesh.mesher import EdgeLengths
from sacrofem.mesh.quality import shape_figures
from sacrofem.mesh.report import MeshReport

REAL_CT = Path(__file__).parents[2] / "shared" / "data" / "ct"
#: Half the edge lengths of the box, in mm: left-right, front-back; and its height.
BOX_HALF_MM, BOX_HEIGHT_MM = (30.0, 15.0), 40.0


def _kuhn(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The unit cube in ``cells``^3 cubes of six tetrahedra."""
    axis = np.linspace(0.0, 1.0, cells + 1)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    i, j, k = (n.ravel() for n in np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"))
    step = np.array([(cells + 1) ** 2, cells + 1, 1])
    corner = np.stack([i, j, k], axis=1) @ step
    tets = []
    for first, second in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
        third = 3 - first - second
        way = np.cumsum([0, step[first], step[second], step[third]])
        tet = corner[:, None] + way
        # Odd permutations of the axes turn the tetrahedron inside out.
        odd = (first, second, third) in ((0, 2, 1), (1, 0, 2), (2, 1, 0))
        tets.append(tet[:, [1, 0, 2, 3]] if odd else tet)
    return points, np.concatenate(tets).astype(np.int64)


def make_box(cells: int = 4, density: float = 0.2) -> BoneMesh:
    """A box: S1 endplate on top, auricular surfaces left and right, no facets."""
    unit, tets = _kuhn(cells)
    size = np.array([2 * BOX_HALF_MM[0], 2 * BOX_HALF_MM[1], BOX_HEIGHT_MM])
    points = unit * size - [BOX_HALF_MM[0], BOX_HALF_MM[1], BOX_HEIGHT_MM]
    facets, _ = boundary_facets(tets)
    middle = points[facets].mean(axis=1)
    tag = np.zeros(len(facets), dtype=np.int8)
    tag[np.isclose(middle[:, 2], 0.0)] = SurfaceTag.ENDPLATE_S1
    tag[np.isclose(middle[:, 0], BOX_HALF_MM[0])] = SurfaceTag.AURICULAR_LEFT
    tag[np.isclose(middle[:, 0], -BOX_HALF_MM[0])] = SurfaceTag.AURICULAR_RIGHT
    return BoneMesh(
        points_mm=points,
        tets=tets,
        facets=facets,
        facet_tag=tag,
        density=RhoQctK2HPO4(np.full(len(tets), density)),
        part=np.full(len(tets), Part.SACRUM, dtype=np.int8),
        level=np.full(len(tets), 1, dtype=np.int8),
        zone=np.full(len(tets), 3, dtype=np.int8),
        frame=SacralFrame(np.zeros(3), *np.eye(3)),
        lateral_mass_mm={
            "left": np.array([15.0, 0.0, -20.0]),
            "right": np.array([-15.0, 0.0, -20.0]),
        },
        foramen_s1_mm={"left": np.array([8.0, 0, -30]), "right": np.array([-8.0, 0, -30])},
    )


@pytest.fixture(scope="session")
def box() -> Callable[..., BoneMesh]:
    """Maker of boxes; see :func:`make_box`."""
    return make_box


def make_atlas(frame: SacralFrame) -> Atlas:
    """The atlas of a straight block: a flat pelvic face, foramina and canal straight through it."""
    width, depth = BOX_HALF_MM
    down = np.arange(0.0, BOX_HEIGHT_MM + 0.5)
    curve = SacralCurve(frame, np.column_stack([np.full(len(down), -depth), -down]))
    foramina = {}
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        for number, level in enumerate(LEVELS):
            for face, t in zip(FACES, (0.0, 2.0 * depth), strict=True):
                curved = np.array([sign * width / 3.0, 8.0 + 8.0 * number, t])
                name = Opening(level, side, face)
                centre = curve.to_world(curved[None])[0]
                foramina[name] = Foramen(name, centre, curved, np.array([3.0, 3.0]), True)
    line = curve.to_world(np.column_stack([0 * down, down, np.full(len(down), depth)]))
    return Atlas(
        frame=frame,
        curve=curve,
        foramina=foramina,
        canal=Canal(line, line[-1], True),
        map=make_map(curve, foramina),
        promontory_mm=curve.to_world(np.zeros((1, 3)))[0],
        endplate_size_mm=(2.0 * width, 2.0 * depth),
        joint_mm={
            side: frame.to_world(np.array([[sign * width, 0.0, -0.5 * BOX_HEIGHT_MM]]))[0]
            for side, sign in zip(SIDES, (1.0, -1.0), strict=True)
        },
    )


@pytest.fixture(scope="session")
def plain_atlas() -> Callable[[SacralFrame], Atlas]:
    """Maker of the atlas that a mesh file needs, for meshes that are not of a bone."""
    return make_atlas


@pytest.fixture(scope="session")
def plain_report() -> Callable[[BoneMesh], MeshReport]:
    """Maker of the report that a mesh file needs, for meshes that are not of a bone."""

    def make(mesh: BoneMesh) -> MeshReport:
        return MeshReport(
            model="sacrum",
            zone_mm=1.0,
            elsewhere_mm=1.0,
            voxel_mm=1.0,
            nodes=len(mesh.points_mm),
            cells=len(mesh.tets),
            shape=shape_figures(mesh.points_mm, mesh.tets),
            parts={"sacrum": PartFidelity(10.0, 9.9, 0.1, 0.2, 0, 0)},
            cartilage_ml=0.0,
            foramina_open=0,
            calibration={"method": "none"},
            metal_ml=0.0,
            landmarks={"promontory": [1.0, 2.0, 3.0]},
            warnings=("foramen S4 left: not found",),
        )

    return make


@pytest.fixture(scope="session")
def phantom_images() -> tuple[CtVolume, LabelMap]:
    """The phantom at 2 mm, without texture and noise: mirror-symmetric."""
    return make_phantom(PhantomSpec(voxel_mm=(2.0, 2.0, 2.0), noise_hu=0.0, texture_hu=0.0))


@pytest.fixture(scope="session")
def phantom_bone(phantom_images: tuple[CtVolume, LabelMap]) -> MeshedBone:
    """A coarse mesh of the phantom: 5 mm edges."""
    return build_mesh(*phantom_images, MeshRequest(edges=EdgeLengths(5.0, 5.0)))


@pytest.fixture(scope="session")
def phantom_bone_on_all(request: pytest.FixtureRequest) -> MeshedBone:
    """The phantom bone of rank 0 on every rank: the mesher is not run once a rank."""
    comm = MPI.COMM_WORLD
    root = comm.rank == 0
    return comm.bcast(request.getfixturevalue("phantom_bone") if root else None, root=0)


@pytest.fixture(scope="session")
def real_ct() -> tuple[Path, Path]:
    """The shared CT and its labels; tests that need them skip where they are not."""
    ct, labels = (
        REAL_CT / name for name in ("sacrum_pelvis_ct.nii.gz", "sacrum_pelvis_labels.nii.gz")
    )
    if not ct.is_file():
        pytest.skip("the real CT is not here")
    return ct, labels


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for meshes of this test alone; compiled forms stay in the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    (base / "fenics").mkdir(parents=True, exist_ok=True)
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "fenics").symlink_to(base / "fenics")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


@pytest.fixture
def small_study(tmp_path: Path) -> Path:
    """A study file: eight cases on a very coarse phantom with linear elements."""
    scenarios = Path(__file__).parents[1] / "scenarios"
    (tmp_path / "mesh.yaml").write_text("phantom: {voxel_mm: [3, 3, 3]}\nedge_mm: 8.0\n")
    text = (scenarios / "balloon-vs-vertebroplasty.yaml").read_text()
    text = text.replace("../meshes/phantom.yaml", "mesh.yaml")
    (tmp_path / "scenario.yaml").write_text(text + "order: 1\n")
    (tmp_path / "study.yaml").write_text(
        "base: scenario.yaml\nvary: {arms.*.fill.cement_ml: [1, 2, 3, 4]}\n"
    )
    return tmp_path / "study.yaml"
