#!/usr/bin/env bash
# install.sh PIP...: installs the locked Python packages with that pip command, the build tools first:
# scikit-fmm has no wheel for Linux and is compiled here, against the NumPy that came with DOLFINx.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
set -- "$@" install --no-deps --require-hashes --no-build-isolation --only-binary :all:
"$@" --requirement "$here/build.lock"
"$@" --no-binary scikit-fmm --requirement "$here/requirements.lock"
