#!/bin/sh
# Prints the path of a Python of the version $1 (3.13) that runs: from PATH, pyenv or uv. Prints nothing where there is none.
works() { "$1" -c 'import venv, ensurepip' 2>/dev/null && command -v "$1"; }
works "python$1" && exit
for python in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python"$1"; do works "$python" && exit; done
works "$("${2:-uv}" python find --no-python-downloads "$1" 2>/dev/null)" || true
