"""Other programs' files: volumes, orientation, parts, tags and moduli come through unchanged."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dolfinx
import gmsh
import meshio
import numpy as np
import pytest
import pyvista
import ufl
from dolfinx import fem
from mpi4py import MPI
from vtkmodules.vtkIOXdmf2 import vtkXdmfReader

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import InputError
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.mesh.abaqus import write_abaqus
from sacrofem.mesh.bone_mesh import BoneMesh, Part, facet_areas_mm2, signed_volumes_mm3
from sacrofem.mesh.export import export_mesh
from sacrofem.mesh.gmsh_file import GMSH_FREE, write_gmsh
from sacrofem.mesh.modulus_bins import bin_modulus

COMM = MPI.COMM_WORLD


@pytest.fixture
def mesh(box: Callable[..., BoneMesh]) -> BoneMesh:
    """A box of three parts; inner nodes moved, corners turned: no two cells are alike."""
    mesh, rng = box(4), np.random.default_rng(4)
    inner = np.setdiff1d(np.arange(len(mesh.points_mm)), mesh.facets)
    points = mesh.points_mm.copy()
    points[inner] += rng.uniform(-1.0, 1.0, (len(inner), 3))
    # Turned so that each of the four faces of a cell is an outer facet somewhere.
    even = np.array([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])
    turn = even[rng.integers(0, 4, len(mesh.tets))]
    x = mesh.centroids_mm[:, 0]
    part = np.select([x > 15.0, x > 0.0], [Part.ILIUM_LEFT, Part.CARTILAGE_LEFT], Part.SACRUM)
    density = RhoQctK2HPO4(rng.uniform(0.05, 1.0, len(mesh.tets)))
    return replace(
        mesh,
        points_mm=points,
        tets=np.take_along_axis(mesh.tets, turn, axis=1),
        part=part.astype(np.int8),
        density=density,
    )


@pytest.fixture
def young(mesh: BoneMesh) -> np.ndarray:
    return 2980.0 * mesh.density.g_per_cm3**1.05


def area_of(mesh: BoneMesh, tag: SurfaceTag) -> float:
    return float(facet_areas_mm2(mesh.points_mm, mesh.facets[mesh.facet_tag == tag]).sum())


# --- the front ---------------------------------------------------------------------------------


def test_the_suffix_chooses_the_format(tmp_path: Path, mesh: BoneMesh, young: np.ndarray) -> None:
    assert export_mesh(tmp_path / "new" / "a.VTU", mesh, young, 0.3) is None
    materials = export_mesh(tmp_path / "a.inp", mesh, young, 0.3, bins=7, order=2)
    assert materials is not None
    assert materials.asked == 7
    assert "C3D10" in (tmp_path / "a.inp").read_text()
    read = meshio.read(tmp_path / "new" / "a.VTU", file_format="vtu")
    np.testing.assert_array_equal(read.cell_data["part"][0], mesh.part)
    np.testing.assert_allclose(read.cell_data["young_MPa"][0], young)
    assert (signed_volumes_mm3(read.points, read.cells_dict["tetra"]) > 0).all()


@pytest.mark.parametrize("name", ["a.stl", "a", "a.vtu.gz"])
def test_an_unknown_suffix_is_told(tmp_path: Path, mesh: BoneMesh, name: str) -> None:
    with pytest.raises(InputError, match=r"\.vtu \(ParaView\).*\.inp \(Abaqus and CalculiX\)"):
        export_mesh(tmp_path / name, mesh, np.ones(len(mesh.tets)), 0.3)
    assert list(tmp_path.iterdir()) == []


# --- XDMF --------------------------------------------------------------------------------------


@pytest.fixture
def xdmf(tmp_path: Path, mesh: BoneMesh, young: np.ndarray) -> Path:
    """The mesh as XDMF, written by rank 0 where all ranks see it."""
    path = COMM.bcast(tmp_path / "a.xdmf")
    if COMM.rank == 0:
        export_mesh(path, mesh, young, 0.3)
    COMM.barrier()
    return path


@pytest.mark.mpi
def test_dolfinx_reads_mesh_parts_and_tags_on_all_ranks(xdmf: Path, mesh: BoneMesh) -> None:
    with dolfinx.io.XDMFFile(COMM, xdmf, "r") as file:
        domain = file.read_mesh(name="mesh")
        part = file.read_meshtags(domain, name="mesh")
        domain.topology.create_connectivity(2, 3)
        tag = file.read_meshtags(domain, name="facet_tag")
    one = fem.Constant(domain, 1.0)
    dx = ufl.Measure("dx", domain=domain, subdomain_data=part)
    ds = ufl.Measure("ds", domain=domain, subdomain_data=tag)

    def integral(measure: ufl.Measure) -> float:
        return COMM.allreduce(fem.assemble_scalar(fem.form(one * measure)))

    for p in Part:
        assert integral(dx(int(p))) == pytest.approx(1000.0 * mesh.part_ml(p), abs=1e-9)
    for t in SurfaceTag:
        assert integral(ds(int(t))) == pytest.approx(area_of(mesh, t), abs=1e-9)


def test_vtk_reads_fields_with_their_cells(xdmf: Path, mesh: BoneMesh, young: np.ndarray) -> None:
    reader = vtkXdmfReader()
    reader.SetFileName(str(xdmf))
    reader.Update()
    blocks = pyvista.wrap(reader.GetOutput())
    assert blocks.keys() == ["mesh", "facet_tag"]
    cells, facets = blocks
    # The order differs: cells are matched by their centroids, in double precision.
    middle = cells.cell_centers().points
    order = np.argmin(np.linalg.norm(middle[:, None] - mesh.centroids_mm[None], axis=2), axis=1)
    np.testing.assert_allclose(middle, mesh.centroids_mm[order], atol=1e-9)
    np.testing.assert_array_equal(cells["part"], mesh.part[order])
    np.testing.assert_array_equal(cells["young_MPa"], young[order])
    np.testing.assert_array_equal(cells["density_g_per_cm3"], mesh.density.g_per_cm3[order])
    volume = cells.compute_cell_sizes()["Volume"]
    np.testing.assert_allclose(volume, 1000.0 * mesh.cell_ml[order])
    area = facets.compute_cell_sizes()["Area"]
    for tag in SurfaceTag:
        assert area[facets["facet_tag"] == tag].sum() == pytest.approx(area_of(mesh, tag))


# --- gmsh --------------------------------------------------------------------------------------


@pytest.fixture
def gmsh_model(tmp_path: Path, mesh: BoneMesh) -> Iterator[None]:
    write_gmsh(tmp_path / "a.msh", mesh)
    assert not gmsh.isInitialized()
    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    gmsh.open(str(tmp_path / "a.msh"))
    yield
    gmsh.finalize()


def in_group(dim: int, number: int, kind: int, measure: str) -> np.ndarray:
    """A measure of gmsh's of all elements of a physical group."""
    found = [
        gmsh.model.mesh.getElementsByType(kind, entity)[0]
        for entity in gmsh.model.getEntitiesForPhysicalGroup(dim, number)
    ]
    return np.asarray(gmsh.model.mesh.getElementQualities(np.concatenate(found), measure))


@pytest.mark.usefixtures("gmsh_model")
def test_gmsh_knows_parts_and_surfaces_by_name(mesh: BoneMesh) -> None:
    groups = {
        (dim, number): gmsh.model.getPhysicalName(dim, number)
        for dim, number in gmsh.model.getPhysicalGroups()
    }
    tags = {SurfaceTag(t) for t in np.unique(mesh.facet_tag)}
    expected = {(3, int(p)): p.name for p in Part if len(mesh.cells_of(p)) > 0}
    expected |= {(2, int(t) or GMSH_FREE): t.name for t in tags}
    assert groups == expected
    for part in (Part.SACRUM, Part.CARTILAGE_LEFT, Part.ILIUM_LEFT):
        volumes = in_group(3, int(part), 4, "volume")
        assert len(volumes) == len(mesh.cells_of(part))
        assert volumes.sum() == pytest.approx(1000.0 * mesh.part_ml(part))
        assert in_group(3, int(part), 4, "minSICN").min() > 0
    for tag in tags:
        areas = in_group(2, int(tag) or GMSH_FREE, 2, "volume")
        assert areas.sum() == pytest.approx(area_of(mesh, tag))


@pytest.mark.usefixtures("gmsh_model")
def test_gmsh_keeps_the_numbers(mesh: BoneMesh) -> None:
    nodes, xyz, _ = gmsh.model.mesh.getNodes()
    order = np.argsort(nodes)
    np.testing.assert_array_equal(nodes[order], np.arange(1, len(mesh.points_mm) + 1))
    np.testing.assert_array_equal(xyz.reshape(-1, 3)[order], mesh.points_mm)
    elements, corners = gmsh.model.mesh.getElementsByType(4)
    order = np.argsort(elements)
    np.testing.assert_array_equal(corners.reshape(-1, 4)[order] - 1, mesh.tets)


def test_a_running_gmsh_goes_on(tmp_path: Path, mesh: BoneMesh) -> None:
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.model.add("mine")
        write_gmsh(tmp_path / "a.msh", mesh)
        assert gmsh.isInitialized()
        assert "mine" in gmsh.model.list()
        assert len(gmsh.model.list()) == 2  # gmsh starts with an unnamed one
    finally:
        gmsh.finalize()


# --- Abaqus and CalculiX -----------------------------------------------------------------------


def read_deck(path: Path) -> dict[str, list[list[str]]]:
    """Data lines of a deck by keyword line, in upper case without blanks; comments left out."""
    deck: dict[str, list[list[str]]] = {}
    for line in path.read_text(encoding="ascii").splitlines():
        assert len(line) <= 132, "CalculiX reads 132 characters a line"
        if line.startswith("**"):
            continue
        if line.startswith("*"):
            rows = deck.setdefault(line.replace(" ", "").upper(), [])
        elif rows is not deck["*HEADING"]:
            words = [word.strip() for word in line.split(",")]
            assert len(words) <= 16
            assert max(map(len, words[1:]), default=0) <= 20
            rows.append(words)
    return deck


def numbers(rows: list[list[str]]) -> np.ndarray:
    return np.array([int(word) for row in rows for word in row])


@pytest.fixture(params=[1, 2])
def deck(
    request: pytest.FixtureRequest, tmp_path: Path, mesh: BoneMesh, young: np.ndarray
) -> dict[str, list[list[str]]]:
    write_abaqus(tmp_path / "a.inp", mesh, young, 0.3, bins=10, order=request.param)
    return read_deck(tmp_path / "a.inp")


def points_and_elements(deck: dict[str, list[list[str]]]) -> tuple[np.ndarray, np.ndarray]:
    nodes = np.array(deck["*NODE,NSET=NODES"], dtype=float)
    key = next(key for key in deck if key.startswith("*ELEMENT,"))
    elements = np.array(deck[key], dtype=int)
    np.testing.assert_array_equal(nodes[:, 0], np.arange(1, len(nodes) + 1))
    np.testing.assert_array_equal(elements[:, 0], np.arange(1, len(elements) + 1))
    assert elements.shape[1] - 1 == {"C3D4": 4, "C3D10": 10}[key.split(",")[1][5:]]
    return nodes[:, 1:], elements[:, 1:] - 1


def test_a_deck_has_the_mesh(deck: dict[str, list[list[str]]], mesh: BoneMesh) -> None:
    points, elements = points_and_elements(deck)
    np.testing.assert_array_equal(elements[:, :4], mesh.tets)
    np.testing.assert_allclose(points[: len(mesh.points_mm)], mesh.points_mm, atol=1e-9)
    volumes = signed_volumes_mm3(points, elements[:, :4])
    np.testing.assert_allclose(volumes, 1000.0 * mesh.cell_ml, rtol=1e-8)
    assert len(np.unique(elements)) == len(points)


def test_midside_nodes_follow_the_order_of_c3d10(
    tmp_path: Path, mesh: BoneMesh, young: np.ndarray
) -> None:
    write_abaqus(tmp_path / "a.inp", mesh, young, 0.3, order=2)
    points, elements = points_and_elements(read_deck(tmp_path / "a.inp"))
    # Abaqus and CalculiX manuals: node 5 between 1 and 2, 6: 2-3, 7: 3-1, 8: 1-4, 9: 2-4, 10: 3-4.
    between = {5: (1, 2), 6: (2, 3), 7: (3, 1), 8: (1, 4), 9: (2, 4), 10: (3, 4)}
    for middle, (a, b) in between.items():
        expected = 0.5 * (points[elements[:, a - 1]] + points[elements[:, b - 1]])
        np.testing.assert_allclose(points[elements[:, middle - 1]], expected, atol=1e-9)
    # One node an edge: neighbours share it.
    assert len(np.unique(points.round(6), axis=0)) == len(points)


def test_every_element_has_one_material_of_its_bin(
    deck: dict[str, list[list[str]]], mesh: BoneMesh, young: np.ndarray
) -> None:
    seen = np.zeros(len(mesh.tets), dtype=int)
    ratio = (young.max() / young.min()) ** (1.0 / 10)
    materials = [key for key in deck if key.startswith("*MATERIAL")]
    assert len(materials) == 10
    elastic = deck["*ELASTIC"]
    for number, constants in enumerate(elastic, start=1):
        cells = numbers(deck[f"*ELSET,ELSET=BIN_{number}"]) - 1
        assert f"*SOLIDSECTION,ELSET=BIN_{number},MATERIAL=MAT_{number}" in deck
        seen[cells] += 1
        mean = np.average(young[cells], weights=mesh.cell_ml[cells])
        assert float(constants[0]) == pytest.approx(mean, rel=1e-10)
        assert float(constants[1]) == pytest.approx(0.3)
        assert young[cells].max() / young[cells].min() <= ratio * (1 + 1e-12)
    assert (seen == 1).all()


def test_part_sets_are_the_parts(deck: dict[str, list[list[str]]], mesh: BoneMesh) -> None:
    assert "*ELSET,ELSET=PART_ILIUM_RIGHT" not in deck
    for part in (Part.SACRUM, Part.CARTILAGE_LEFT, Part.ILIUM_LEFT):
        cells = numbers(deck[f"*ELSET,ELSET=PART_{part.name}"]) - 1
        np.testing.assert_array_equal(cells, mesh.cells_of(part))


def test_surfaces_are_the_tagged_facets(deck: dict[str, list[list[str]]], mesh: BoneMesh) -> None:
    points, elements = points_and_elements(deck)
    # Faces of the manuals: S1 = 1-2-3, S2 = 1-4-2, S3 = 2-4-3, S4 = 3-4-1.
    corners = {"S1": (0, 1, 2), "S2": (0, 3, 1), "S3": (1, 3, 2), "S4": (2, 3, 0)}
    used = set()
    for tag in (SurfaceTag(t) for t in np.unique(mesh.facet_tag)):
        rows = deck[f"*SURFACE,TYPE=ELEMENT,NAME=SURF_{tag.name}"]
        used |= {face for _, face in rows}
        faces = np.array([elements[int(cell) - 1, list(corners[s])] for cell, s in rows])
        facets = mesh.facets[mesh.facet_tag == tag]
        expected = np.sort(facets, axis=1)
        assert sorted(map(tuple, np.sort(faces, axis=1))) == sorted(map(tuple, expected))
        # The nodes of a surface: corners and, for C3D10, the middles of the triangles' edges.
        places = mesh.points_mm[facets]
        if elements.shape[1] == 10:
            places = np.hstack([places, 0.5 * (places + np.roll(places, 1, axis=1))])
        nodes = numbers(deck[f"*NSET,NSET=NODES_{tag.name}"]) - 1
        unique = np.unique(places.reshape(-1, 3).round(6), axis=0)
        np.testing.assert_allclose(np.unique(points[nodes].round(6), axis=0), unique)
    assert used == set(corners)


def test_an_independent_reader_sees_the_same(
    tmp_path: Path, mesh: BoneMesh, young: np.ndarray
) -> None:
    write_abaqus(tmp_path / "a.inp", mesh, young, 0.3, bins=4)
    read = meshio.read(tmp_path / "a.inp")
    np.testing.assert_array_equal(read.cells_dict["tetra"], mesh.tets)
    assert {"PART_SACRUM", "BIN_1", "BIN_2", "BIN_3", "BIN_4"} <= set(read.cell_sets)
    sizes = [len(read.cell_sets[f"BIN_{n}"][0]) for n in (1, 2, 3, 4)]
    assert sum(sizes) == len(mesh.tets)


def test_a_deck_says_its_units_and_its_error(
    tmp_path: Path, mesh: BoneMesh, young: np.ndarray
) -> None:
    materials = write_abaqus(tmp_path / "a.inp", mesh, young, 0.3)
    text = (tmp_path / "a.inp").read_text()
    assert text.startswith("*HEADING\n")
    assert "Units: mm, N, MPa" in text
    assert materials.summary() in text


# --- modulus bins ------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", ["log", "linear"])
def test_the_error_of_bins_is_bounded_and_reported(spacing: str) -> None:
    rng = np.random.default_rng(0)
    young, volume = rng.uniform(20.0, 3000.0, 5000), rng.uniform(0.1, 1.0, 5000)
    few = bin_modulus(young, 0.3, volume, bins=20, spacing=spacing)
    many = bin_modulus(young, 0.3, volume, bins=200, spacing=spacing)
    assert many.mean_error < 0.2 * few.mean_error
    error = np.abs(few.young_MPa[few.material] / young - 1.0)
    assert few.largest_error == pytest.approx(error.max())
    assert few.mean_error == pytest.approx((error * volume).sum() / volume.sum())
    width = (young.max() / young.min()) ** (1 / 20) if spacing == "log" else None
    if width is not None:
        assert few.largest_error <= width - 1.0
    # Stiffness by volume is kept, bin by bin and so in all.
    kept = (few.young_MPa[few.material] * volume).sum()
    assert kept == pytest.approx((young * volume).sum())


def test_one_modulus_needs_one_material() -> None:
    bins = bin_modulus(np.full(9, 700.0), 0.3, np.ones(9), bins=100)
    np.testing.assert_allclose(bins.young_MPa, [700.0])
    assert bins.largest_error < 1e-12


def test_cells_of_another_poisson_ratio_have_another_material() -> None:
    young, poisson = np.full(10, 5.0), np.repeat([0.30, 0.45], 5)
    bins = bin_modulus(young, poisson, np.ones(10))
    np.testing.assert_allclose(bins.poisson, [0.30, 0.45])
    np.testing.assert_array_equal(bins.material, np.repeat([0, 1], 5))
    mixed = bin_modulus(young, np.linspace(0.30, 0.45, 10), np.ones(10))
    assert mixed.poisson_error <= 0.01


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"young_MPa": np.array([1.0, 0.0, 2.0])}, "1 of 3 cells have another.*0 MPa in cell 1"),
        ({"young_MPa": np.array([1.0, np.nan, 2.0])}, "1 of 3 cells have another"),
        ({"young_MPa": np.ones(4)}, r"shape \(3,\); found shape \(4,\)"),
        ({"bins": 0}, "found 0 and 'log'"),
        ({"spacing": "cubic"}, "found 100 and 'cubic'"),
    ],
)
def test_what_cannot_be_binned_is_told(change: dict[str, object], words: str) -> None:
    given = {"young_MPa": np.ones(3), "poisson": 0.3, "cell_ml": np.ones(3)} | change
    with pytest.raises(InputError, match=words):
        bin_modulus(**given)  # type: ignore[arg-type]


def test_another_order_is_told(tmp_path: Path, mesh: BoneMesh, young: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"1 \(C3D4\) or 2 \(C3D10\); found 3"):
        write_abaqus(tmp_path / "a.inp", mesh, young, 0.3, order=3)
