#!/usr/bin/env bash
# Builds the wheel of this machine, installs it into a virtual environment in bin/, and runs the package's checks: ruff, mypy, the tests.
# Users get the newest releases of what the package needs: tests of frames and
# tables run once more with these.
# Needs Python 3.10 and, the first time, the network; where either is missing it says so and leaves the checks out.
set -euo pipefail
cd "$(dirname "$0")/.."
left_out() {
	echo "Python package left out: $1"
	exit 0
}
python=${PYTHON:-python3}
"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || left_out "there is no Python 3.10 with venv"
venv=$PWD/bin/.python
if ! cmp -s python/requirements.txt "$venv/requirements.txt"; then
	"$python" -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check -r python/requirements.txt || left_out "pip could not install what the tests need"
	cp python/requirements.txt "$venv"
fi
rm -rf bin/.wheels
"$venv/bin/python" python/build_wheels.py --out bin/.wheels ${1:+--program "$1"}
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall bin/.wheels/*.whl
cd python
"$venv/bin/ruff" check --no-cache .
"$venv/bin/ruff" format --no-cache --check .
"$venv/bin/mypy" --cache-dir "$venv/mypy"
env -u METAXY_DELTA_BIN "$venv/bin/python" -m pytest -q -p no:cacheprovider

newest=$(dirname "$venv")/.python-newest
[ -e "$newest/bin/pip" ] || "$python" -m venv --clear "$newest"
# pytest is that of requirements.txt: Metaxy needs pytest-cases, which does not
# load in every newer one.
if ! "$newest/bin/pip" install --quiet --disable-pip-version-check --retries 1 --upgrade --upgrade-strategy eager 'metaxy[delta,duckdb]<0.2' pyarrow pandas "$(grep '^pytest==' requirements.txt)"; then
	echo "tests with the newest releases left out: pip could not install them"
	exit 0
fi
"$newest/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall ../bin/.wheels/*.whl
"$newest/bin/pip" list --disable-pip-version-check --format freeze | grep -E '^(deltalake|duckdb|metaxy|narwhals|pandas|polars|pyarrow)=='
env -u METAXY_DELTA_BIN "$newest/bin/python" -m pytest -q -p no:cacheprovider tests/test_store.py tests/test_resolve.py tests/test_beyond.py
