"""What may be wrong with a sacrum or its label, said in words: errors before, warnings after."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.canal import Canal
from sacrofem.anatomy.curve import SacralCurve
from sacrofem.anatomy.foramina import ForamenSearch
from sacrofem.anatomy.joints import faces_label
from sacrofem.anatomy.surface import BoneIndicator, BoneSurface
from sacrofem.errors import InputError
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.volume import LabelMap

#: A second piece with this share of the label is no island but half a bone.
PIECE_SHARE = 0.1
#: Part of the height of the label, from below, where the edge of the image may cut it: the coccyx.
TAIL_SHARE = 0.25
#: Islands and cavities below this are not worth a word, in ml.
TOLD_ML = 0.05
#: L5 is fused when it lies this close to so much of the endplate; no disc is that thin (a choice).
FUSED_GAP_MM, FUSED_SHARE = 2.0, 0.5
#: A sacrum without S5 below its third pair of foramina is this short there, in mm: S4 and S5 are
#: 30 mm and more.
SHORT_TAIL_MM = 25.0


def check_label(labels: LabelMap, source: str) -> tuple[str, ...]:
    """Refuse a sacrum in two pieces or cut by the edge of the image; warn of a cut coccyx.

    Raises:
        InputError: A second piece holds 10 % of the label or more, or the edge of the image cuts
            the bone above its lowest quarter.
    """
    mask = labels.mask(SACRUM)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    number, count = ndimage.label(mask[box])
    voxels = np.bincount(number.ravel(), minlength=2)[1:]
    sizes = np.sort(voxels)[::-1] * labels.grid.voxel_ml
    if count > 1 and sizes[1] > PIECE_SHARE * sizes.sum():
        raise InputError(
            f"{source}: the sacrum's label ({SACRUM}) falls into pieces of {sizes[0]:.0f} and "
            f"{sizes[1]:.0f} ml, but one bone is needed; join them (a label for S1 alone? a "
            "fracture gap left out?) or remove what is not sacrum."
        )
    # An island on the edge of the image is no cut bone.
    mask[box] = number == 1 + int(voxels.argmax())
    return _check_border(labels, mask, source)


def _check_border(labels: LabelMap, mask: NDArray[np.bool_], source: str) -> tuple[str, ...]:
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    touching = []
    for axis, part in enumerate(box):
        for edge, at in ((0, part.start == 0), (-1, part.stop == mask.shape[axis])):
            if at:
                face = np.argwhere(np.take(mask, [edge], axis=axis))
                face[:, axis] = edge % mask.shape[axis]
                touching.append(face)
    if not touching:
        return ()
    index = np.argwhere(mask[box]) + [part.start for part in box]
    height = labels.grid.to_world(index)[:, 2]
    cut = labels.grid.to_world(np.concatenate(touching))[:, 2]
    share = (cut.max() - height.min()) / max(float(np.ptp(height)), 1e-9)
    if share > TAIL_SHARE:
        raise InputError(
            f"{source}: the edge of the image cuts the sacrum ({len(cut)} voxels of label {SACRUM} "
            f"lie on it, up to {100 * share:.0f} % of its height); give a CT that holds the whole "
            "bone from above the promontory to S5, with both wings."
        )
    return (
        f"the edge of the image cuts the lowest {100 * share:.0f} % of the sacrum's label; what is "
        "missing there, S5 or coccyx, is missing in the model",
    )


def label_warnings(labels: LabelMap, bone: BoneIndicator) -> tuple[str, ...]:
    """What was cleaned up, and what cannot be checked for want of a label."""
    words = []
    if bone.dropped_ml > TOLD_ML:
        words.append(f"islands of the sacrum's label, {bone.dropped_ml:.2f} ml, are left out")
    if bone.filled_ml > TOLD_ML:
        words.append(f"cavities inside the sacrum's label, {bone.filled_ml:.2f} ml, are filled")
    if not labels.mask(L5).any():
        words.append(
            f"L5 ({L5}) has no label: the S1 endplate is taken to be the flat upper end of the "
            "sacrum, and the S1 facets are unknown; their load goes to the endplate"
        )
    if not all(labels.mask(hip).any() for hip in (HIP_LEFT, HIP_RIGHT)):
        words.append(
            f"without both hips ({HIP_LEFT}, {HIP_RIGHT}) left and right are those of the file's "
            "axes; a mirrored image would not be noticed"
        )
    return tuple(words)


def fusion_warnings(
    labels: LabelMap, surface: BoneSurface, endplate: NDArray[np.bool_]
) -> tuple[str, ...]:
    """Whether L5 lies on the endplate without a disc between."""
    area = surface.areas_mm2[endplate]
    close = faces_label(
        surface.centroids_mm[endplate], surface.normals[endplate], labels, L5, FUSED_GAP_MM
    )
    share = float(area[close].sum() / max(area.sum(), 1e-9))
    if share < FUSED_SHARE:
        return ()
    return (
        f"no disc gap between L5 and the sacrum over {area[close].sum() / 100:.1f} cm2 "
        f"({100 * share:.0f} % of the S1 endplate): L5 is sacralised, the disc is gone or the "
        "labels touch; check the levels, and give landmarks.frame if the endplate is another one",
    )


def foramen_warnings(
    labels: LabelMap, search: ForamenSearch, curve: SacralCurve, third_mm: float
) -> tuple[str, ...]:
    """Other numbers of pairs than four, and every opening that is closed.

    Args:
        labels: The label map.
        search: What the search for foramina saw.
        curve: The sacrum's curve.
        third_mm: ``s`` of the third pair.
    """
    words = list(_pair_warnings(search, curve.length_mm - third_mm))
    edge = " x ".join(f"{h:.3g}" for h in labels.grid.spacing_mm)
    for name, foramen in search.foramina.items():
        if not foramen.found:
            words.append(
                f"{name} is closed in the labels at {edge} mm; its position is estimated from "
                f"{foramen.basis}; give {name.key}"
            )
    return tuple(words)


def _pair_warnings(search: ForamenSearch, tail_mm: float) -> tuple[str, ...]:
    if search.skipped:
        return (
            f"{search.pairs} pairs of foramina, the joints beside the second: L5 is fused to the "
            "sacrum and part of its label (sacralised L5); the second pair is taken for S1, and "
            "the endplate is that of L5; give landmarks.frame for that of S1",
        )
    if search.pairs > 4:
        return (
            f"{search.pairs} pairs of foramina: the first four are taken for S1 to S4, the rest "
            "for a fused coccyx; if L5 is fused instead, give landmarks.foramina and "
            "landmarks.frame",
        )
    if search.pairs == 3 and tail_mm < SHORT_TAIL_MM:
        return (
            f"three pairs of foramina and only {tail_mm:.0f} mm of bone below the third: S1 is "
            "lumbarised (S2 then counts as S1 here) or the lower end is missing; check the levels",
        )
    if search.pairs < 4 and not all(foramen.found for foramen in search.foramina.values()):
        return (f"only {search.pairs} of four pairs of foramina are clearly open in the labels",)
    return ()


def canal_warnings(canal: Canal) -> tuple[str, ...]:
    """Whether canal and hiatus were found."""
    if len(canal.line_mm) == 0:
        return (
            "the sacral canal is closed in the labels, or has no roof; its centre line is unknown "
            "and the hiatus is put on the dorsal face at S4; give landmarks.hiatus",
        )
    if not canal.found:
        return (
            "the sacral canal is closed in the labels before it reaches the hiatus, which is put "
            "on the dorsal face at S4 or at the end of the canal; give landmarks.hiatus",
        )
    return ()
