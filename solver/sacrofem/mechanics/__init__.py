"""Materials, loads, supports, and the parallel solution of linear elasticity."""
