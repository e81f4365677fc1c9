#!/usr/bin/env bash
# test.sh [--full] [arguments of pytest]: sets up what is missing, then style, types and every test.
# All stages run even when one fails; the summary at the end names what failed or was left out, and why.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -uo pipefail
source "$(dirname "$(readlink -f "$0")")/setup.sh"
cd "$root" || exit

marks=(-m 'not full')
[[ ${1:-} == --full ]] && { marks=(); shift; }

failed=0
summary=()

# stage NAME COMMAND...: runs it and keeps what became of it.
stage() {
  local name=$1 started=$SECONDS outcome=ok
  shift
  printf '\n== %s\n' "$name"
  "$@" || { outcome="FAILED ($?)"; failed=1; }
  summary+=("$(printf '%5d s  %-14s %s' $((SECONDS - started)) "$name" "$outcome")")
}

# left_out NAME REASON
left_out() { summary+=("$(printf '%5s    %-14s left out: %s' - "$1" "$2")"); }

install_python_packages dev voxcpm oracle
"$venv/bin/python" -m pip install -q --no-deps -c "$root/constraints.txt" voxcpm ||
  left_out oracle "pip could not install voxcpm, the official implementation; its stored answers stand in for it"
covered=(protocol) # packages of which their own tests reach every line and branch
if install_libopus; then
  covered+=(streaming_server/audio)
else
  left_out libopus "it is missing and could not be installed (sudo apt install libopus0); Opus tests skip"
fi
command -v chromium >/dev/null || apt_install chromium fonts-noto-cjk ||
  left_out chromium "it is missing and could not be installed (sudo apt install chromium); browser tests skip"
command -v shellcheck >/dev/null || apt_install shellcheck ||
  left_out shellcheck "it is missing and could not be installed (sudo apt install shellcheck); its tests skip"
command -v npm >/dev/null || apt_install nodejs npm

checks=tests/web_client # holds package.json: typescript is the only thing npm brings, and nothing of it is served

# Most tests wait more than they compute: four lanes run side by side, from the beginning on beside the checks. Each lane
# takes the next of these parts when it is through with one, the longest first; whatever is in none of them comes first.
parts=(
  web_client
  models
  'faults streaming_server/voices'
  'bench test_*'
  'streaming_server/test_say* streaming_server/test_serve* streaming_server/test_handover* streaming_server/test_neighbours*'
  'streaming_server/test_engine* streaming_server/text'
  'streaming_server/test_drain* streaming_server/test_resume* streaming_server/test_c*'
)
start_lanes() {
  local part name paths lines=() elsewhere=("${covered[@]/#/--ignore=tests/}") # those are run below
  rm -f "$venv"/tests-*
  for part in "${parts[@]}"; do
    paths=()
    # shellcheck disable=SC2206 # names are patterns
    for name in $part; do paths+=(tests/$name); done
    elsewhere+=("${paths[@]/#/--ignore=}")
    lines+=("$((${#lines[@]} + 1)) ${paths[*]}")
  done
  # shellcheck disable=SC2016 # the lane expands it
  printf '%s\n' "0 ${elsewhere[*]}" "${lines[@]}" |
    setsid xargs -P 4 -L 1 bash -c 'python -m pytest "${@:3}" -m "$1" >".venv/tests-$2" 2>&1 && mv ".venv/tests-$2"{,.passed}' \
      lane "${marks[1]-}" &
  lanes=$!
  trap 'kill -- "-$lanes"; exit 130' INT TERM # an interrupt at the keyboard does not reach what runs in the background
}

# With arguments of pytest's there is one lane.
# shellcheck disable=SC2317 # a stage calls it
every_test() {
  if (($#)); then
    python -m pytest "${marks[@]}" "$@"
    return
  fi
  local outcome=0
  wait "$lanes" || outcome=$?
  trap - INT TERM
  cat "$venv"/tests-*.passed "$venv"/tests-? 2>/dev/null # those that failed last, if any
  return "$outcome"
}

types_ready() {
  local stamp
  stamp=$(sha256sum "$checks/package-lock.json")
  [[ $(cat "$checks/node_modules/.installed" 2>/dev/null) == "$stamp" ]] && return
  npm --prefix "$checks" ci --silent --no-audit --no-fund && echo "$stamp" >"$checks/node_modules/.installed"
}

set_up=$SECONDS
export PATH=$venv/bin:$PATH
(($#)) || start_lanes
stage 'ruff check' ruff check .
stage 'ruff format' ruff format --check .
stage mypy mypy
if node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null; then
  stage 'node --test' node --test "$checks"/*.test.mjs
  if command -v npm >/dev/null && types_ready; then
    stage 'tsc --checkJs' npm --prefix "$checks" run --silent types
  else
    left_out 'tsc --checkJs' "npm is missing or could not install typescript"
  fi
else
  left_out 'node --test' "Node.js 18 or later is missing and could not be installed (sudo apt install nodejs npm)"
  left_out 'tsc --checkJs' "Node.js 18 or later is missing"
fi
stage 'coverage run' python -m coverage run --source="$(IFS=,; echo "${covered[*]}")" -m pytest -q "${covered[@]/#/tests/}"
stage coverage python -m coverage report --fail-under=100 --show-missing --skip-covered
stage pytest every_test "$@"

printf '\n== summary: %d s, set-up %d s before that\n' $((SECONDS - set_up)) "$set_up"
printf '%s\n' "${summary[@]}"
exit "$failed"
