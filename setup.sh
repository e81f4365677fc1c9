# shellcheck shell=bash
# What start.sh and test.sh share: a fitting Python, .venv, and system packages where apt may be used.
# It is sourced. It never fails for a system package: it says what is missing, and the server goes on without.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
venv=$root/.venv
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0
unset PYTHONHOME PYTHONPATH # another project's `protocol` or `models` must not come first

say() { printf 'voxwire: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# apt_install PACKAGE...: whether they are there now. Tries without an update first, because most lists are fresh.
apt_install() {
  local as_root=(env)
  command -v apt-get >/dev/null || return 1
  if [[ $(id -u) != 0 ]]; then
    sudo -n true 2>/dev/null || return 1
    as_root=(sudo -n env)
  fi
  as_root+=(DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
  say "installing $* with apt"
  as_root+=(-qq -y --no-install-recommends)
  "${as_root[@]}" install "$@" >/dev/null 2>&1 && return
  "${as_root[@]}" update >/dev/null 2>&1
  "${as_root[@]}" install "$@" >/dev/null 2>&1 || { say "apt could not install $*"; false; }
}

# fits PYTHON: a 3.11 to 3.13 that can make a virtual environment with pip in it.
fits() {
  "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

find_python() {
  local candidate home conda
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.11 python3.13 python; do
    fits "$candidate" && { command -v "$candidate"; return; }
  done
  conda=$(type -P conda)
  for home in ${CONDA_PREFIX:+"$CONDA_PREFIX"} ${conda:+"${conda%/*/conda}"} ~/miniconda3 ~/anaconda3 ~/miniforge3; do
    fits "$home/bin/python" && { echo "$home/bin/python"; return; }
    if [[ -x $home/bin/conda ]]; then
      say "making a Python 3.12 with conda"
      "$home/bin/conda" create -y -q -p "$root/.conda" python=3.12 >&2 && { echo "$root/.conda/bin/python"; return; }
    fi
  done
  for candidate in python3 python3.13 python3.12 python3.11; do # 3.11 is an extra package of Ubuntu 22.04
    apt_install "$candidate" "$candidate-venv" && fits "/usr/bin/$candidate" &&
      { echo "/usr/bin/$candidate"; return; }
  done
  return 1
}

# install_python_packages [EXTRA...]: .venv with the server and these extras; what is up to date is left alone.
install_python_packages() {
  local python part stamp spec=$root missing=''
  exec 9<"$root/pyproject.toml"
  flock 9 # a second start.sh or test.sh waits for the first one's set-up
  if ! fits "$venv/bin/python"; then
    python=$(find_python) || die "Python 3.11, 3.12 or 3.13 with venv is needed and was not found:" \
      "install it (Debian, Ubuntu: sudo apt install python3 python3-venv) or name it: PYTHON=/path/to/python $0"
    say "making .venv with $python"
    "$python" -m venv --clear "$venv" || die "$python could not make $venv"
  fi
  stamp=$({ cat "$root/pyproject.toml" "$root/constraints.txt"; echo "$root"; } | sha256sum)
  for part in server "$@"; do
    [[ $(cat "$venv/.installed-$part" 2>/dev/null) == "$stamp" ]] || missing+=" $part"
  done
  if [[ $missing ]]; then
    say "installing Python packages for:$missing; the first time takes a minute or two"
    (($#)) && spec+="[$(IFS=,; echo "$*")]"
    "$venv/bin/python" -m pip install -q --use-pep517 -c "$root/constraints.txt" -e "$spec" ||
      die "pip could not install them; a mirror is set with: pip config set global.index-url URL"
    for part in server "$@"; do echo "$stamp" >"$venv/.installed-$part"; done
  fi
  exec 9<&-
}

# install_libopus: whether Opus is there.
install_libopus() {
  "$venv/bin/python" -c 'import ctypes; ctypes.CDLL("libopus.so.0")' 2>/dev/null || apt_install libopus0 ||
    { say "libopus is missing and could not be installed: Opus is off (Debian, Ubuntu: sudo apt install libopus0)"; false; }
}
