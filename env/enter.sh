#!/usr/bin/env bash
# enter.sh ro|rw ROOT BIN COMMAND [ARGUMENT...]: runs COMMAND with ROOT/usr and ROOT/etc in the place of the host's.
#
# Called in a private mount namespace (unshare --mount), so the host sees none of these mounts and they
# end with the last process in it. All else - home, /tmp, /var, data disks - stays the host's own, hence
# every path works as given. BIN goes to the front of PATH.
set -euo pipefail
mode=$1 root=$2 bin=$3
shift 3

refuse() { printf 'with-env: %s\n' "$1" >&2; exit 2; }

[ -L /bin ] && [ -L /lib ] || refuse "/bin and /lib of this host are not links into /usr; install Debian's usrmerge."
case $(pwd -P)/ in
  /usr/* | /etc/*) refuse "the current directory $PWD is not visible inside the environment; call from outside /usr and /etc." ;;
esac

# Arguments that name something now, to be looked at again after the mounts.
named=()
for arg in "$@"; do
  for path in "$arg" "${arg#*=}"; do
    if [ -e "$path" ]; then named+=("$path"); fi
  done
done

# The host's own network, users, time zone and certificates; only what the root has a place for.
for file in resolv.conf hosts passwd group localtime pip.conf ssl/certs; do
  if [ -e "/etc/$file" ] && [ -e "$root/etc/$file" ]; then mount --bind "/etc/$file" "$root/etc/$file"; fi
done
local_ca=/usr/local/share/ca-certificates
if [ -d $local_ca ] && [ -d "$root$local_ca" ]; then mount --bind $local_ca "$root$local_ca"; fi
# Open MPI leaves its shared memory behind; here it goes with the namespace.
if [ -d "$root/usr/local/shm" ]; then
  mount -t tmpfs -o mode=1777 tmpfs "$root/usr/local/shm"
  export OMPI_MCA_btl_sm_backing_directory=/usr/local/shm
fi

mount -o "rbind,$mode" "$root/etc" /etc
mount -o "rbind,$mode" "$root/usr" /usr # last: the root has no `mount`

for path in "${named[@]}"; do
  [ -e "$path" ] || refuse "$path is not visible inside the environment, which has its own /usr and /etc; copy it elsewhere."
done
# VTK without a screen draws by EGL; said here, it does not look for an X server first.
if [ -z "${DISPLAY:-}" ]; then
  export VTK_DEFAULT_OPENGL_WINDOW=${VTK_DEFAULT_OPENGL_WINDOW:-vtkEGLRenderWindow}
fi
export PATH=$bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
hash -r
exec -- "$@"
