"""Where the phantom's landmarks are: known from its construction, for tests of what finds them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sacrofem.image.phantom import hip, sacrum
from sacrofem.image.phantom.curve import LENGTH_MM, along_and_behind, world
from sacrofem.image.phantom.form import Form, form_of
from sacrofem.image.phantom.raster import FACET_GAP_MM, SI_GAP_MM, bones
from sacrofem.image.phantom.shapes import Array
from sacrofem.image.phantom.spec import DEFAULT, PhantomSpec
from sacrofem.image.phantom.tissue import FUSED_DISCS_MM, age_of

SIDES = {"left": 1.0, "right": -1.0}
STEP_MM = 0.1  # of the search for a surface along a line
PLATE_STEP_MM = 1.0  # of the points that define the endplate
PLATE_SHARE = 0.8  # of the endplate's half axes: within its rounded rim


@dataclass(frozen=True, eq=False)
class PhantomTruth:
    """Landmarks of one phantom in world coordinates (LPS, mm).

    Attributes:
        promontory_mm: Where the endplate's plane and the pelvic face of S1 meet in the midline (the
            bone's edge is rounded off by 1 to 2 mm), shape (3,).
        endplate_centre_mm: Middle of the S1 endplate on its mean plane, shape (3,).
        endplate_normal: Unit normal of the mean plane of the S1 endplate, upwards, shape (3,).
        left: Unit normal of the mid-sagittal plane x = 0, to the patient's left, shape (3,).
        level_boundaries_mm: On the axis of the bodies: endplate, fused discs S1|S2 to S4|S5, apex;
            shape (6, 3).
        canal_mm: Middle of the sacral canal from its mouth to the hiatus, shape (n, 3).
        anterior_foramina_mm: Centres of the pelvic openings S1 to S4 of "left" and "right", on the
            bone's surface as if they were filled, shape (4, 3) each.
        posterior_foramina_mm: Centres of the dorsal openings likewise.
        si_joint_mm: Centre of the sacroiliac joint of "left" and "right", in the middle of the
            joint space, shape (3,) each.
        acetabulum_mm: Centre of the hip joint of "left" and "right", shape (3,) each.
        acetabulum_radius_mm: Radius of the articular surface of the acetabulum, a sphere.
    """

    promontory_mm: Array
    endplate_centre_mm: Array
    endplate_normal: Array
    left: Array
    level_boundaries_mm: Array
    canal_mm: Array
    anterior_foramina_mm: dict[str, Array]
    posterior_foramina_mm: dict[str, Array]
    si_joint_mm: dict[str, Array]
    acetabulum_mm: dict[str, Array]
    acetabulum_radius_mm: float


def truth(spec: PhantomSpec = DEFAULT) -> PhantomTruth:
    """The landmarks of the phantom that ``make_phantom(spec)`` scans."""
    form = form_of(spec)
    centre, normal = _endplate(form)
    s_mm = np.array([*FUSED_DISCS_MM, LENGTH_MM])
    axis = _line(form, s_mm, 0.5 * sacrum.BODY_DEPTH(s_mm))
    canal_s = np.linspace(sacrum.LAMINA_TOP_MM, sacrum.HIATUS_MM, 45)
    canal_t = sacrum.BODY_DEPTH(canal_s) + 0.5 * (sacrum.CANAL_DEPTH(canal_s) - sacrum.FLAT_MM)
    front, upper = form.world(world(0.0, 0.0, 0.0)), form.world(world(0.0, -1.0, 0.0))
    along = (upper - front) / np.linalg.norm(upper - front)
    return PhantomTruth(
        promontory_mm=front + along * ((centre - front) @ normal) / (along @ normal),
        endplate_centre_mm=centre,
        endplate_normal=normal,
        left=np.array([1.0, 0.0, 0.0]),
        level_boundaries_mm=np.vstack([centre, axis]),
        canal_mm=_line(form, canal_s, canal_t),
        anterior_foramina_mm={n: _mouths(form, sign, front=True) for n, sign in SIDES.items()},
        posterior_foramina_mm={n: _mouths(form, sign, front=False) for n, sign in SIDES.items()},
        si_joint_mm={n: _joint(form, sign) for n, sign in SIDES.items()},
        acetabulum_mm={n: hip.hip_joint(sign, form) for n, sign in SIDES.items()},
        acetabulum_radius_mm=hip.socket_radius(form),
    )


def sacrum_volume_ml(spec: PhantomSpec = DEFAULT, step_mm: float = 1.0) -> float:
    """Volume of the sacrum in ml, from its distances on a lattice; within 0.2 % at 1 mm.

    Args:
        spec: The phantom; its voxels, noise and label faults do not matter.
        step_mm: Spacing of the lattice.
    """
    bone = bones(form_of(spec), age_of(spec))[0]
    x, y, z = (np.arange(a, b, step_mm) for a, b in bone.box_mm.T)
    distance = bone.distance(x[:, None, None], y[None, :, None], z[None, None, :])
    # A lattice cell that the surface cuts counts by its share.
    share = np.clip(0.5 - distance / step_mm, 0.0, 1.0)
    return float(share.sum()) * step_mm**3 / 1000.0


def _line(form: Form, s_mm: Array, t_mm: Array) -> Array:
    return np.array([form.world(world(0.0, s, t)) for s, t in zip(s_mm, t_mm, strict=True)])


def _solid(form: Form) -> Callable[[Array], Array]:
    """Distance in drawn mm to the sacrum without its canal and foramina, at drawn points (n, 3)."""

    def distance(points: Array) -> Array:
        x, y, z = points.T
        s, t = along_and_behind(y, z)
        return sacrum.solid(np.abs(x), y, z, s, t, FACET_GAP_MM / form.scale, form)

    return distance


def _endplate(form: Form) -> tuple[Array, Array]:
    """Middle and unit normal in the world of the plane that fits the S1 endplate."""
    half_x = PLATE_SHARE * float(sacrum.body_half_width(np.array(0.0), form))
    half_t = PLATE_SHARE * 15.0
    surface = []
    for x in np.arange(-half_x, half_x, PLATE_STEP_MM):
        for t in np.arange(-half_t, half_t, PLATE_STEP_MM):
            if (x / half_x) ** 2 + (t / half_t) ** 2 < 1.0:
                above, below = (world(float(x), s, float(t) + 15.0) for s in (-5.0, 6.0))
                surface.append(form.world(_entry(form, above, below)))
    points = np.array(surface)
    across, _, _, _ = np.linalg.lstsq(
        np.column_stack([points[:, 1], np.ones(len(points))]), points[:, 2], rcond=None
    )
    # The plate is level from side to side: both halves fall alike.
    normal = np.array([0.0, -across[0], 1.0]) / np.hypot(across[0], 1.0)
    middle = form.world(world(0.0, 0.0, 15.0))
    return middle + normal * ((points.mean(axis=0) - middle) @ normal), normal


def _entry(
    form: Form, start: tuple[float, float, float], end: tuple[float, float, float]
) -> tuple[float, float, float]:
    """First drawn point from ``start`` to ``end`` on the solid sacrum."""
    a, b = np.array(start), np.array(end)
    steps = np.linspace(0.0, 1.0, int(np.linalg.norm(b - a) / STEP_MM) + 2)
    distance = _solid(form)(a + steps[:, None] * (b - a))
    first = int(np.argmax(distance <= 0.0))
    before, after = distance[first - 1], distance[first]
    at = steps[first - 1] + (steps[first] - steps[first - 1]) * before / (before - after)
    x, y, z = a + at * (b - a)
    return float(x), float(y), float(z)


def _mouths(form: Form, sign: float, *, front: bool) -> Array:
    """Centres of one side's openings S1 to S4, shape (4, 3)."""
    centres = []
    for level in sacrum.foramina(form):
        s_mm = level.s_mm + 1.0
        if front:
            x_mm, s_mm = level.front_x_mm + 0.35 * level.oval_mm, s_mm - 0.35 * level.oval_mm
            start, end = world(x_mm, s_mm, -8.0), world(x_mm, s_mm, 15.0)
        else:
            start, end = sacrum.dorsal_axis(level)
        x, y, z = _entry(form, start, end)
        centres.append(form.world((sign * x, y, z)))
    return np.array(centres)


def _joint(form: Form, sign: float) -> Array:
    """Centroid of one side's auricular surface, moved to the middle of the joint; shape (3,)."""
    s, t = np.meshgrid(np.arange(0.0, 70.0, 1.0), np.arange(5.0, 42.0, 1.0), indexing="ij")
    inside = sacrum.ear(s, t, form) < 0.0
    y, z = np.array([world(0.0, a, b)[1:] for a, b in zip(s[inside], t[inside], strict=True)]).T
    x = float(hip.joint_face(y, z, 0.5 * SI_GAP_MM / form.wide, form).mean())
    return form.world((sign * x, float(y.mean()), float(z.mean())))
