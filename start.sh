#!/usr/bin/env bash
# start.sh [flags of `voxwire serve`]: sets up what is missing and serves in the foreground on 127.0.0.1:6006.
# Relative paths in flags are seen from this folder. PYTHON=/path/to/python chooses the interpreter of a new .venv.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/setup.sh"
cd "$root"

# torch is large: only a checkpoint brings it, asked for by flag or variable, or one in weights/ that is served.
model=${VOXWIRE_MODEL:-} previous=''
for argument in "$@"; do
  [[ $previous == --model ]] && model=$argument
  [[ $argument == --model=* ]] && model=${argument#--model=}
  previous=$argument
done
install_python_packages
if [[ -z $model ]] && compgen -G 'weights/*/config.json' >/dev/null; then
  model=$("$venv/bin/python" -P -c 'from pathlib import Path
from models.registry import find_checkpoint
print(find_checkpoint(Path("weights")) or "")')
fi
[[ -f ${model%/config.json}/config.json ]] && install_python_packages voxcpm
install_libopus || true

# -P: the folder one stands in is not searched for modules.
exec "$venv/bin/python" -P -m streaming_server serve "$@"
