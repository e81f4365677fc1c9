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

# Most tests wait more than they compute: two lanes of them run beside the checks and the other tests, and are shown when
# all are over. Within a lane the browser's tests come last, since Playwright leaves a loop running.
lanes=('models faults streaming_server/text streaming_server/voices streaming_server/test_engine*' 'bench test_* web_client')
in_lanes=() pids=() logs=()
start_lanes() {
  local lane log name paths
  for lane in "${lanes[@]}"; do
    log="$venv/lane-${lane%% *}.log" paths=()
    # shellcheck disable=SC2206 # names are patterns
    for name in $lane; do paths+=(tests/$name); done
    python -m pytest "${marks[@]}" "${paths[@]}" >"$log" 2>&1 &
    pids+=($!) logs+=("$log") in_lanes+=("${paths[@]}")
  done
}

# With arguments of pytest's there is one lane.
# shellcheck disable=SC2317 # a stage calls it
every_test() {
  if (($#)); then
    python -m pytest "${marks[@]}" "$@"
    return
  fi
  local lane outcome=0 elsewhere=("${covered[@]/#/--ignore=tests/}" "${in_lanes[@]/#/--ignore=}") # those have been run
  python -m pytest "${marks[@]}" "${elsewhere[@]}" || outcome=$?
  for lane in "${!pids[@]}"; do
    wait "${pids[lane]}" || outcome=$?
    printf '\n'
    cat "${logs[lane]}"
  done
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
