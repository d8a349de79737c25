"""Bone meshes of simple bodies; their joints are named parts of the surface."""

from collections.abc import Callable

import gmsh
import numpy as np
from dolfinx import mesh
from mpi4py import MPI
from numpy.typing import NDArray

from sacrofem import _compat
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.mesh.bone_mesh import BoneMesh, Part, boundary_facets, signed_volumes_mm3

#: Gives 300 MPa with the default density law.
DENSITY_G_PER_CM3 = (300.0 / 2980.0) ** (1.0 / 1.05)
Tagger = Callable[[np.ndarray], NDArray[np.int8]]


def bone_of(points: np.ndarray, tets: np.ndarray, tagger: Tagger) -> BoneMesh:
    """A bone mesh; ``tagger`` gives the tags from the corners of the facets, shape (f, 3, 3)."""
    tets = tets.astype(np.int64)
    inverted = signed_volumes_mm3(points, tets) < 0.0
    tets[inverted] = tets[inverted][:, [1, 0, 2, 3]]
    facets, _ = boundary_facets(tets)
    whole = np.ones(len(tets), dtype=np.int8)
    return BoneMesh(
        points_mm=points,
        tets=tets,
        facets=facets,
        facet_tag=tagger(points[facets]),
        density=RhoQctK2HPO4(np.full(len(tets), DENSITY_G_PER_CM3)),
        part=whole * np.int8(Part.SACRUM),
        level=whole,
        zone=whole,
        frame=SacralFrame(np.zeros(3), *np.eye(3)),
        lateral_mass_mm={"left": np.zeros(3), "right": np.zeros(3)},
        foramen_s1_mm={"left": np.zeros(3), "right": np.zeros(3)},
    )


def sides_and_top(corners: np.ndarray) -> NDArray[np.int8]:
    """Joints on the faces of largest and smallest x, the S1 endplate on that of largest z."""
    tag = np.zeros(len(corners), dtype=np.int8)
    for axis, value, name in (
        (2, corners[..., 2].max(), SurfaceTag.ENDPLATE_S1),
        (0, corners[..., 0].max(), SurfaceTag.AURICULAR_LEFT),
        (0, corners[..., 0].min(), SurfaceTag.AURICULAR_RIGHT),
    ):
        tag[np.isclose(corners[..., axis], value).all(axis=1)] = name
    return tag


def box(cells: int, size_mm: tuple[float, float, float]) -> BoneMesh:
    """A box about the origin in ``cells``^3 bricks of six tetrahedra; halves at x = 0 if even."""
    half = 0.5 * np.array(size_mm)
    grid = mesh.create_box(MPI.COMM_SELF, [-half, half], [cells] * 3)
    return bone_of(grid.geometry.x.copy(), _compat.geometry_dofmap(grid).copy(), sides_and_top)


def cube_about_ball(edge_mm: float, half_mm: float, radius_mm: float | None = None) -> BoneMesh:
    """An unstructured mesh of a cube, which follows a ball about its centre if a radius is given.

    The corners of that ball lie on the sphere: its polyhedron is smaller than the ball.
    """

    def shape() -> None:
        cube = gmsh.model.occ.addBox(*[-half_mm] * 3, *[2.0 * half_mm] * 3)
        if radius_mm is not None:
            gmsh.model.occ.fragment(
                [(3, cube)], [(3, gmsh.model.occ.addSphere(0, 0, 0, radius_mm))]
            )

    return bone_of(*_meshed(shape, edge_mm), sides_and_top)


def hollow_ball(edge_mm: float, inner_mm: float, outer_mm: float) -> BoneMesh:
    """A hollow ball: the S1 endplate is all of its inner surface, the joints all of its outer."""

    def shape() -> None:
        balls = [gmsh.model.occ.addSphere(0, 0, 0, r) for r in (outer_mm, inner_mm)]
        gmsh.model.occ.cut([(3, balls[0])], [(3, balls[1])])

    def tagger(corners: np.ndarray) -> NDArray[np.int8]:
        inner = np.linalg.norm(corners, axis=2).max(axis=1) < 0.5 * (inner_mm + outer_mm)
        left = corners[..., 0].mean(axis=1) > 0.0
        joint = np.where(left, SurfaceTag.AURICULAR_LEFT, SurfaceTag.AURICULAR_RIGHT)
        return np.where(inner, SurfaceTag.ENDPLATE_S1, joint).astype(np.int8)

    return bone_of(*_meshed(shape, edge_mm), tagger)


def _meshed(shape: Callable[[], None], edge_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Points, shape (n, 3), and tetrahedra, shape (m, 4), of what ``shape`` adds to gmsh."""
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.MeshSizeMin", edge_mm)
        gmsh.option.setNumber("Mesh.MeshSizeMax", edge_mm)
        shape()
        gmsh.model.occ.synchronize()
        gmsh.model.mesh.generate(3)
        numbers, points, _ = gmsh.model.mesh.getNodes()
        _, corners = gmsh.model.mesh.getElementsByType(4)
    finally:
        gmsh.finalize()
    place = np.zeros(int(numbers.max()) + 1, dtype=np.int64)
    place[numbers] = np.arange(len(numbers))
    used, tets = np.unique(place[corners], return_inverse=True)
    return points.reshape(-1, 3)[used], tets.reshape(-1, 4)
