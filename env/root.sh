# Makes the Debian tree for the kinds root and next. Read by setup.sh.
# shellcheck shell=bash disable=SC2034,SC2154 # variables shared with with-env and setup.sh

# Runs a command in namespaces of its own that die with this shell, kill -9 included: no process and no
# mount of an interrupted build stays, so its leftovers can be removed without risk.
guard() {
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$@" &
  local child=$! status=0
  trap 'kill -KILL $child; exit 130' INT
  trap 'kill -KILL $child; exit 143' TERM HUP
  wait $child || status=$?
  trap - INT TERM HUP
  return $status
}

# Sets base to the tree of that suite in the cache, made if it is not there.
find_tree() { # SUITE
  local roots=$cache/roots recipe
  [ "${CI:-}" != true ] || roots=$project/.venv/roots
  python=/usr/bin/python3
  recipe=$(uname -m | hash_of - "$project"/env/{packages.txt,build.lock,requirements.lock,install.sh,root.sh})
  base=$roots/$1-$recipe
  unshare --mount true 2>/dev/null || { why="needs root with the right to mount"; return 1; }
  [ ! -d "$base" ] || return 0
  type -P mmdebstrap >/dev/null || grep -qx 'ID=debian' /etc/os-release 2>/dev/null ||
    { why="mmdebstrap is missing, and this is no Debian to install it from"; return 1; }
  mkdir -p "$roots" || { why="cannot write to $roots"; return 1; }
  lock 8 "$roots/lock"
  if [ ! -d "$base" ]; then
    rm -rf --one-file-system -- "$roots"/*.part # of builds that were killed
    if ! { build_tree "$1" "$base.part" && mv -- "$base.part" "$base"; }; then
      rm -rf --one-file-system -- "$base.part"
      return 1
    fi
  fi
  exec 8>&-
}

build_tree() { # SUITE DIRECTORY
  local suite=$1 tree=$2 free options
  free=$(df --output=avail -BG "${tree%/*}" | tail -n 1 | tr -dc 0-9)
  [ "$free" -ge 4 ] || { why="${tree%/*} has $free GB free, and 4 are needed"; return 1; }
  type -P mmdebstrap >/dev/null || get_mmdebstrap || return 1
  # unsafe-io: without an fsync per file; a tree that was cut short is thrown away in any case.
  # What only the tests use: a Slurm of one node, and CalculiX, which trixie does not have.
  local tested=(slurm-wlm)
  [ "$suite" != unstable ] || tested+=(calculix-ccx)
  options=(--mode=root --variant=apt --dpkgopt=force-unsafe-io
    "--include=$(IFS=,; echo "${packages[*]} ${tested[*]}" | tr ' ' ,)")
  local path
  for path in doc man info locale lintian help gtk-doc; do
    options+=(--dpkgopt="path-exclude=/usr/share/$path/*")
  done
  options+=(--dpkgopt='path-include=/usr/share/doc/*/copyright')
  [ "$suite" != unstable ] || options+=(--aptopt='Acquire::Check-Valid-Until "false"')
  # The proxies of the host's apt are needed here and must not stay in the tree.
  while IFS= read -r path; do options+=(--aptopt="$path"); done < <(
    apt-config dump | grep -E '^Acquire::(http|https|ftp)::.*(Proxy|CAInfo|CAPath|Verify)' || true
  )
  # shellcheck disable=SC2016 # $1 is mmdebstrap's
  options+=(--customize-hook='rm -rf "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*')
  step "making a Debian $suite tree with DOLFINx in ${tree%.part} (about two minutes, 3 GB)" \
    guard mmdebstrap "${options[@]}" "$suite" "$tree" ${SACROFEM_DEBIAN_MIRROR:+"$SACROFEM_DEBIAN_MIRROR"} || return 1
  # Places for the host's files (enter.sh).
  mkdir -p "$tree/usr/local/shm" "$tree/usr/local/share/ca-certificates" "$tree/etc/ssl/certs"
  local file
  for file in resolv.conf hosts passwd group localtime pip.conf; do
    [ ! -L "$tree/etc/$file" ] || rm -- "$tree/etc/$file"
    : >>"$tree/etc/$file"
  done
  # Debian has some of these packages too; its copies stay and are passed over.
  step "installing the locked Python packages into it" guard bash "$project/env/enter.sh" rw "$tree" /usr/local/bin \
    env PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_IGNORE_INSTALLED=1 PIP_COMPILE=0 \
    bash "$project/env/install.sh" python3 -m pip || return 1
  # By all cores, where pip would use one. Status 1 only tells of templates that are no valid Python.
  step "compiling them" guard bash "$project/env/enter.sh" rw "$tree" /usr/local/bin \
    python3 -m compileall -q -j 0 /usr/local/lib || true
}

# The one package that is put on the host.
get_mmdebstrap() {
  if [ -z "$(LC_ALL=C apt-cache policy mmdebstrap 2>/dev/null | sed -n 's/^ *Candidate: //p')" ]; then
    step "reading the package lists (apt-get update)" apt-get update || return 1
  fi
  step "installing mmdebstrap by apt-get" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends mmdebstrap
}
