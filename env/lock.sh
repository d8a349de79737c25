#!/usr/bin/env bash
# Writes the two lock files anew, for Python 3.11 to 3.14 at once. Needs `uv` on PATH.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

compile=(uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url)
# These come with DOLFINx, from Debian or conda; a second copy would not fit its binaries.
for package in numpy scipy mpi4py petsc4py h5py gmsh cffi fenics-{dolfinx,basix,ufl,ffcx}; do
  compile+=(--no-emit-package "$package")
done
"${compile[@]}" "$@" env/build.in --output-file env/build.lock
"${compile[@]}" "$@" --extra dev --constraints env/constraints.txt pyproject.toml --output-file env/requirements.lock
