"""Lesion, access path and cement fill on one bone mesh, as volume fractions per cell."""
