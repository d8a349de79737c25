"""Errors with a cause and a way out.

Every error that a user can cause derives from :class:`SacrofemError` and is printed as one sentence
by the command line, which then exits with :attr:`SacrofemError.exit_status`.
"""


class SacrofemError(Exception):
    """Base of all errors that sacrofem raises on purpose."""

    exit_status = 1


class InputError(SacrofemError):
    """What the user gave cannot be used; the message names place, found value and way out."""

    exit_status = 2


class SolverError(SacrofemError):
    """A linear solve did not converge or failed one of its own checks."""


class MeshError(SacrofemError):
    """A mesh could not be made or misses its stated limits."""
