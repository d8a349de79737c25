"""Failed cases: what a store keeps of a case that has no numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Cause = Literal["input", "solver", "mesh", "memory", "worker lost", "walltime", "unexpected"]
#: All words for the cause of a failure.
CAUSES: tuple[str, ...] = get_args(Cause)


@dataclass(frozen=True)
class Failure:
    """A case that ended without numbers.

    Args:
        key: Key of the case, see :func:`sacrofem.study.case.case_key`.
        point: Point of the study that asked for the case first.
        arm: Name of the arm.
        cause: One of :data:`CAUSES`.
        message: The error in one sentence.
        traceback: Where it was raised; empty where the process is gone.
        host: Machine that ran the case last; empty where nobody knows.
        attempts: How often the case was tried.
        inputs: Everything that decides the case, see :func:`sacrofem.study.case.case_inputs`.

    Raises:
        ValueError: The cause is none of :data:`CAUSES`.
    """

    key: str
    point: int
    arm: str
    cause: str
    message: str
    traceback: str
    host: str
    attempts: int
    inputs: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse a cause that is not on the list."""
        if self.cause not in CAUSES:
            raise ValueError(f"cause {self.cause!r} is none of {', '.join(CAUSES)}")
