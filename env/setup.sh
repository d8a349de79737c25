# Read by with-env when no stamp fits: finds or makes an environment, leaves kind, base and venv.
# shellcheck shell=bash disable=SC2154 # self, project, want, cache, key, stamp come from with-env

# shellcheck source=env/root.sh
. "$project/env/root.sh"

log=$project/.venv/setup.log
reasons=()
mapfile -t packages <"$project/env/packages.txt"

hash_of() { cat -- "$@" | sha256sum | cut -c1-16; }

# step TEXT COMMAND...: one line for the user, the rest into the log. A failure is left in `why`.
step() {
  local text=$1
  shift
  begun=yes
  say "$text"
  printf '== %s\n' "$text" >>"$log"
  if ! "$@" </dev/null >>"$log" 2>&1; then
    why="$text: failed, see $log, which ends: $(tail -n 1 "$log")"
    return 1
  fi
}

# The lock also stays held by children that outlive a killed with-env, so nobody builds over them.
lock() { # DESCRIPTOR FILE
  eval "exec $1>\"\$2\""
  flock -n "$1" || { say "waiting for another set-up, which holds $2"; flock "$1"; }
}

probe() { # PYTHON
  why=$(cd / && "$1" "$project/env/probe.py" 2>&1) && return 0
  why="$1: $(tail -n 1 <<<"$why")"
  return 1
}

set_up() {
  mkdir -p "$project/.venv/stamps" || die 1 "cannot write to $project/.venv, where the environment is kept."
  lock 9 "$project/.venv/lock"
  if ready; then # made while we waited
    exec 9>&-
    return
  fi
  : >"$log"
  local kinds=(active conda apt root)
  [ "$want" = auto ] || kinds=("$want")
  for kind in "${kinds[@]}"; do
    base=- why="" begun=""
    if "find_$kind" && make_venv; then
      printf '%s\n' "$kind" "$base" "$venv" >"$stamp.part"
      mv -- "$stamp.part" "$stamp"
      exec 9>&-
      return
    fi
    reasons+=("$kind: $why")
    # What was begun and failed is worth a line; what is simply not there is not.
    [ -z "$begun" ] || say "the way '$kind' did not work ($why)"
  done
  give_up
}

give_up() {
  say "no environment with DOLFINx 0.9 to 0.11 was found or could be made."
  printf '  %s\n' "${reasons[@]}" >&2
  cat >&2 <<END
Any one of these helps:
  - activate a Python that has DOLFINx (conda, module load, the dolfinx/dolfinx container) and call again
  - install conda, mamba or micromamba; environment.yml is then used by itself
  - Debian 13, Ubuntu with DOLFINx 0.9, or newer: sudo apt-get install ${packages[*]}
  - any other Debian: call again as root; a Debian 13 file tree is then made in the user's cache
Details: $log
END
  exit 1
}

find_active() {
  python=$(type -P python3) || { why="no python3 on PATH"; return 1; }
  probe "$python"
}

find_conda() {
  local name tool=
  for name in "${MAMBA_EXE:-micromamba}" mamba "${CONDA_EXE:-conda}"; do
    if tool=$(type -P "$name"); then break; fi
  done
  [ -n "$tool" ] || { why="no conda, mamba or micromamba on PATH"; return 1; }
  base=$cache/conda/$(hash_of "$project/environment.yml")
  python=$base/bin/python3
  if [ ! -e "$base/.complete" ]; then
    rm -rf -- "$base" # a conda prefix cannot be renamed, hence the mark at the end
    mkdir -p "$cache/conda"
    local create=(env create --prefix "$base" --file "$project/environment.yml")
    [[ ${tool##*/} != micromamba* ]] || create=(create "${create[@]:2}")
    step "making the conda environment $base with ${tool##*/} (some minutes)" \
      env CONDA_ALWAYS_YES=true MAMBA_ALWAYS_YES=true "$tool" "${create[@]}" || return 1
    probe "$python" || return 1
    : >"$base/.complete"
  fi
}

# The version of DOLFINx that apt would install, empty if none.
apt_candidate() { LC_ALL=C apt-cache policy python3-dolfinx-real 2>/dev/null | sed -n 's/^ *Candidate: //p'; }

find_apt() {
  type -P apt-get apt-cache >/dev/null || { why="no apt on this system"; return 1; }
  python=/usr/bin/python3
  if probe "$python" && "$python" -m pip --version >/dev/null 2>&1; then return 0; fi
  local candidate
  candidate=$(apt_candidate)
  if [ -z "$candidate" ] && [ "$EUID" = 0 ]; then
    step "reading the package lists (apt-get update)" apt-get update || return 1
    candidate=$(apt_candidate)
  fi
  if ! [[ $candidate =~ ^([0-9]+:)?0\.(9|10|11)[.~+-] ]]; then
    why="apt offers DOLFINx ${candidate:-in no version}"
    return 1
  fi
  if [ "$EUID" != 0 ]; then
    why="apt has DOLFINx $candidate, to be installed as root: apt-get install ${packages[*]}"
    return 1
  fi
  step "installing DOLFINx $candidate by apt-get" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends "${packages[@]}" || return 1
  probe "$python"
}

find_root() { find_tree trixie; }
find_next() { find_tree unstable; }

# Runs a command where the environment's Python is visible.
in_base() {
  case $kind in
    root | next) guard bash "$project/env/enter.sh" ro "$base" /usr/local/bin "$@" ;;
    *) "$@" ;;
  esac
}

# A small venv of this clone over the Python that was found: the project itself, editable, and - where no
# Debian root has them already - the locked packages.
make_venv() {
  local pip=("$python" -m pip) own=--without-pip sum real
  real=$(in_base readlink -f "$python") || { why="the tree $base cannot be entered: $real"; return 1; }
  # What apt installed is the active Python of the next time: the same venv.
  venv=$project/.venv/${kind/apt/active}-$(printf '%s\n' "$project" "$base" "$python" "$real" |
    hash_of - "$project"/env/{build.lock,requirements.lock,install.sh})
  if [ ! -e "$venv/.complete" ]; then
    rm -rf -- "$venv"
    in_base "$python" -m pip --version >/dev/null 2>&1 || own=
    step "making the virtual environment .venv/${venv##*/}" \
      in_base "$python" -m venv ${own:+"$own"} --system-site-packages "$venv" || return 1
    [ -n "$own" ] || pip=("$venv/bin/python" -m pip)
    see_parent || return 1
    if [[ $kind != root && $kind != next ]]; then
      step "installing the locked Python packages" install_locked || return 1
    fi
    : >"$venv/.complete"
  fi
  sum=$(hash_of "$project/pyproject.toml")
  if [ "$(cat "$venv/.project" 2>/dev/null)" != "$sum" ]; then
    step "installing sacrofem (editable)" in_base "${pip[@]}" --python "$venv/bin/python" install \
      --no-deps --no-build-isolation --editable "$project" || return 1
    printf '%s\n' "$sum" >"$venv/.project"
  fi
}

# A venv made by the Python of another venv sees only the system's packages, not those of that venv.
see_parent() {
  local show='import sys; print("\n".join(p for p in sys.path if p))' parent child site
  parent=$(cd / && in_base "$python" -c "$show") || { why="$python does not start"; return 1; }
  child=$(cd / && in_base "$venv/bin/python" -c "$show") || { why="$venv/bin/python does not start"; return 1; }
  site=$(grep -F "$venv/" <<<"$child" | head -n 1)
  grep -vxF -e "$child" <<<"$parent" >"$site/parent.pth" || rm -f -- "$site/parent.pth"
}

# install.sh with the compilers of conda, and meson and ninja, in reach.
install_locked() (
  if [ "$kind" = conda ]; then activate_conda; fi
  PATH=$venv/bin:$PATH
  exec bash "$project/env/install.sh" "${pip[@]}" --python "$venv/bin/python"
)
