"""A mesh over ranks: the same from memory and from a file, tags exact, no rank with it all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dolfinx
import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from sacrofem.anatomy.atlas import Atlas
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.mechanics.distributed import (
    DistributedMesh,
    distribute,
    distribute_file,
    fetch_rows,
    together,
)
from sacrofem.mesh.bone_mesh import BoneMesh, Part, facet_areas_mm2
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.files import MeshFileError, save_bone
from sacrofem.mesh.report import MeshReport
from sacrofem.mesh.share import first_rows
from sacrofem.mesh.tissue_grid import TissueGrid

pytestmark = pytest.mark.mpi

COMM = MPI.COMM_WORLD


@pytest.fixture
def bone(box: Callable[..., BoneMesh]) -> BoneMesh:
    """A box whose cells and points come in no order, with parts, and a density for each cell."""
    mesh, rng = box(4), np.random.default_rng(2)
    old = rng.permutation(len(mesh.points_mm))
    new = np.argsort(old)
    cells, facets = rng.permutation(len(mesh.tets)), rng.permutation(len(mesh.facets))
    tets = new[mesh.tets[cells]]
    return replace(
        mesh,
        points_mm=mesh.points_mm[old],
        tets=tets,
        facets=new[mesh.facets[facets]],
        facet_tag=mesh.facet_tag[facets],
        density=RhoQctK2HPO4(rng.random(len(tets))),
        part=rng.integers(1, 6, len(tets)).astype(np.int8),
    )


@pytest.fixture
def file(
    tmp_path: Path,
    bone: BoneMesh,
    plain_atlas: Callable[[SacralFrame], Atlas],
    plain_report: Callable[[BoneMesh], MeshReport],
) -> Path:
    """The bone in a file that all ranks see."""
    path = COMM.bcast(tmp_path / "bone.npz")
    if COMM.rank == 0:
        none = np.zeros((1, 1, 1), np.uint8)
        empty = TissueGrid(np.zeros(3), 1.0, none, none, RhoQctK2HPO4(np.ones(1)))
        save_bone(path, MeshedBone(bone, empty, plain_atlas(bone.frame), plain_report(bone)))
    COMM.barrier()
    return path


@pytest.fixture(params=["memory", "file"])
def domain(request: pytest.FixtureRequest, bone: BoneMesh, file: Path) -> DistributedMesh:
    return distribute(bone, COMM) if request.param == "memory" else distribute_file(file, COMM)


def test_cells_know_their_number(domain: DistributedMesh, bone: BoneMesh) -> None:
    local = np.arange(len(domain.cells), dtype=np.int32)
    middle = dolfinx.mesh.compute_midpoints(domain.mesh, 3, local)
    np.testing.assert_allclose(middle, bone.centroids_mm[domain.cells], atol=1e-12)
    owned = COMM.allgather(domain.cells[: domain.owned])
    np.testing.assert_array_equal(np.sort(np.concatenate(owned)), np.arange(len(bone.tets)))
    assert domain.cell_count == len(bone.tets)


def test_cell_data_arrive_at_their_cells(domain: DistributedMesh, bone: BoneMesh) -> None:
    np.testing.assert_array_equal(domain.density.g_per_cm3, bone.density.g_per_cm3[domain.cells])
    np.testing.assert_array_equal(domain.part, bone.part[domain.cells])
    gathered = domain.gather_cells(domain.density.g_per_cm3)
    np.testing.assert_array_equal(gathered, bone.density.g_per_cm3)


def test_every_tagged_facet_has_its_tag(domain: DistributedMesh, bone: BoneMesh) -> None:
    mesh, tags = domain.mesh, domain.facet_tags
    mesh.topology.create_connectivity(2, 3)
    outer = dolfinx.mesh.exterior_facet_indices(mesh.topology)
    assert np.isin(outer, tags.indices).all()
    nodes = dolfinx.mesh.entities_to_geometry(mesh, 2, tags.indices)
    numbers = np.sort(mesh.geometry.input_global_indices[nodes], axis=1)
    known = dict(
        zip(map(tuple, np.sort(bone.facets, axis=1).tolist()), bone.facet_tag, strict=True)
    )
    assert [known[tuple(n)] for n in numbers.tolist()] == tags.values.tolist()


@pytest.mark.parametrize("tag", list(SurfaceTag))
def test_tagged_areas_are_those_of_the_bone(
    domain: DistributedMesh, bone: BoneMesh, tag: SurfaceTag
) -> None:
    ds = ufl.Measure("ds", domain=domain.mesh, subdomain_data=domain.facet_tags)
    area = domain.integral(fem.form(fem.Constant(domain.mesh, 1.0) * ds(int(tag))))
    expected = facet_areas_mm2(bone.points_mm, bone.facets[bone.facet_tag == tag]).sum()
    assert area == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_a_rank_may_have_no_tagged_facet(bone: BoneMesh) -> None:
    one = replace(bone, facets=bone.facets[:1], facet_tag=np.array([3], dtype=np.int8))
    tags = distribute(one, COMM).facet_tags
    assert np.concatenate(COMM.allgather(tags.values)).tolist() == [3]


def test_no_rank_is_given_more_than_its_share(
    bone: BoneMesh, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    make = dolfinx.mesh.create_mesh

    def counted(comm: MPI.Comm, *, cells: np.ndarray, x: np.ndarray, e: object) -> object:
        given.extend([len(cells), len(x)])
        return make(comm, cells=cells, x=x, e=e)

    monkeypatch.setattr(dolfinx.mesh, "create_mesh", counted)
    distribute_file(file, COMM)
    assert given[0] <= -(-len(bone.tets) // COMM.size)
    assert given[1] <= -(-len(bone.points_mm) // COMM.size)


@pytest.mark.parametrize("count", [1, 7, 100])
def test_rows_come_in_the_order_asked(count: int) -> None:
    whole = np.random.default_rng(1).normal(size=(count, 3))
    first = first_rows(count, COMM.size)
    wanted = np.random.default_rng(10 + COMM.rank).integers(0, count, 5 * COMM.rank + 11)
    held = whole[first[COMM.rank] : first[COMM.rank + 1]]
    np.testing.assert_array_equal(fetch_rows(COMM, held, count, wanted), whole[wanted])


def test_an_error_of_the_last_rank_is_raised_on_all() -> None:
    def work() -> int:
        if COMM.rank == COMM.size - 1:
            raise MeshFileError("this rank cannot read")
        return COMM.rank

    with pytest.raises(MeshFileError, match="cannot read"):
        together(COMM, work)
    assert together(COMM, lambda: COMM.rank) == COMM.rank


def test_a_damaged_file_stops_all_ranks(file: Path) -> None:
    COMM.barrier()
    if COMM.rank == 0:
        file.write_bytes(file.read_bytes()[:500])
    COMM.barrier()
    with pytest.raises(MeshFileError, match="not a whole mesh file"):
        distribute_file(file, COMM)


def test_the_parts_are_all_there(domain: DistributedMesh, bone: BoneMesh) -> None:
    space = fem.functionspace(domain.mesh, ("Discontinuous Lagrange", 0))
    inside = fem.Function(space)
    inside.x.array[:] = domain.part == Part.CARTILAGE_LEFT
    volume_ml = domain.integral(fem.form(inside * ufl.dx)) / 1000.0
    assert volume_ml == pytest.approx(bone.part_ml(Part.CARTILAGE_LEFT), rel=1e-12)
