"""What a treatment asks of a sacrum's anatomy: everything but its surface, small enough for a file.

The atlas goes with the mesh into its archive, so that paths and fills can be planned without the
images that it was found in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sacrofem.anatomy.canal import Canal
from sacrofem.anatomy.curve import SacralCurve
from sacrofem.anatomy.foramina import Foramen, Opening
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.anatomy.landmarks import Anatomy
from sacrofem.anatomy.zones import SacralMap, make_map
from sacrofem.image.volume import FloatArray


@dataclass(frozen=True, eq=False)
class Atlas:
    """Landmarks of one sacrum.

    Attributes:
        frame: Sacral frame.
        curve: Pelvic face of the bodies in the midline.
        foramina: All sixteen openings.
        canal: Sacral canal and hiatus.
        map: Borders of levels and zones.
        promontory_mm: Front rim of the S1 endplate in the midline, world, shape (3,).
        endplate_size_mm: Width and midline depth of the S1 endplate.
        joint_mm: Area-weighted centre of each auricular surface by side, world, shape (3,).
    """

    frame: SacralFrame
    curve: SacralCurve
    foramina: dict[Opening, Foramen]
    canal: Canal
    map: SacralMap
    promontory_mm: FloatArray
    endplate_size_mm: tuple[float, float]
    joint_mm: dict[str, FloatArray]

    def foramen(self, level: str, side: str, face: str) -> Foramen:
        """One opening: level ``S1`` to ``S4``, side ``left`` or ``right``, face ``anterior`` ..."""
        return self.foramina[Opening(level, side, face)]

    def as_json(self) -> dict[str, Any]:
        """The atlas as JSON values; the map follows from curve and foramina."""
        return {
            "frame": np.vstack([self.frame.origin_mm, self.frame.axes]).tolist(),
            "curve_mm": self.curve.points_mm.tolist(),
            "foramina": [
                {
                    "name": list(name),
                    "centre_mm": foramen.centre_mm.tolist(),
                    "curved_mm": foramen.curved_mm.tolist(),
                    "axes_mm": foramen.axes_mm.tolist(),
                    "found": bool(foramen.found),
                    "basis": foramen.basis,
                }
                for name, foramen in self.foramina.items()
            ],
            "canal": {
                "line_mm": self.canal.line_mm.tolist(),
                "hiatus_mm": self.canal.hiatus_mm.tolist(),
                "found": bool(self.canal.found),
            },
            "promontory_mm": self.promontory_mm.tolist(),
            "endplate_size_mm": list(self.endplate_size_mm),
            "joint_mm": {side: point.tolist() for side, point in self.joint_mm.items()},
        }


def atlas_of(anatomy: Anatomy) -> Atlas:
    """The atlas of what was found in the labels."""
    return Atlas(
        frame=anatomy.frame,
        curve=anatomy.curve,
        foramina=anatomy.foramina,
        canal=anatomy.canal,
        map=anatomy.map,
        promontory_mm=anatomy.promontory_mm,
        endplate_size_mm=anatomy.endplate_size_mm,
        joint_mm={
            "left": anatomy.joint_centre_mm(SurfaceTag.AURICULAR_LEFT),
            "right": anatomy.joint_centre_mm(SurfaceTag.AURICULAR_RIGHT),
        },
    )


def atlas_from_json(values: Mapping[str, Any]) -> Atlas:
    """The atlas that :meth:`Atlas.as_json` wrote."""
    frame = SacralFrame(*np.array(values["frame"]))
    curve = SacralCurve(frame, np.array(values["curve_mm"]))
    foramina = {}
    for entry in values["foramina"]:
        name = Opening(*entry["name"])
        foramina[name] = Foramen(
            name=name,
            centre_mm=np.array(entry["centre_mm"]),
            curved_mm=np.array(entry["curved_mm"]),
            axes_mm=np.array(entry["axes_mm"]),
            found=entry["found"],
            basis=entry["basis"],
        )
    canal = values["canal"]
    return Atlas(
        frame=frame,
        curve=curve,
        foramina=foramina,
        canal=Canal(
            line_mm=np.array(canal["line_mm"]).reshape(-1, 3),
            hiatus_mm=np.array(canal["hiatus_mm"]),
            found=canal["found"],
        ),
        map=make_map(curve, foramina),
        promontory_mm=np.array(values["promontory_mm"]),
        endplate_size_mm=(values["endplate_size_mm"][0], values["endplate_size_mm"][1]),
        joint_mm={side: np.array(point) for side, point in values["joint_mm"].items()},
    )
