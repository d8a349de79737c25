"""Access paths: every way into the sacrum that the two papers name, ray-cast through this patient.

Each approach is a family of candidate tracks that a rule builds from the patient's own landmarks;
those that the bone lets through are kept, and the one with the largest clearance is the path.
"""

from sacrofem.treatment.access.find import find_path, survey

__all__ = ["find_path", "survey"]
