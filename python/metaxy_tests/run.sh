#!/usr/bin/env bash
# run.sh CHECKOUT [MODE...]: Metaxy's own tests with the modes named (default baseline and ours), and what changed from the first to the last.
# PYTHON makes the virtual environment, METAXY_DELTA_BIN is the program; PYTEST_ARGS chooses other tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
checkout=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- baseline ours
out=$top/bin/.metaxy-tests
venv=$out/venv
mkdir -p "$out/tmp" "$out/home"
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
	"${PYTHON:-python3}" -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet -r "$here/requirements.txt"
	cp "$here/requirements.txt" "$venv"
fi
packages=$("$venv/bin/python" -c 'import site; print(site.getsitepackages()[0])')
printf '%s\n' "$here" "$top/python/src" "$checkout/tests/metaxy_testing/src" 'import os; exec("import plugin") if os.environ.get("METAXY_TESTS") else None' >"$packages/metaxy_delta_tests.pth"
export METAXY_DELTA_BIN=${METAXY_DELTA_BIN:-$top/bin/metaxy-delta}
export TMPDIR=$out/tmp HOME=$out/home RAY_TMPDIR=$out/tmp/ray POLARS_MAX_THREADS=2 PYTHONDONTWRITEBYTECODE=1
default="tests/ext/delta tests/metadata_stores tests/models tests/versioning tests/provenance tests/data_versioning tests/project tests/graph tests/parametric tests/utils tests/cli tests/test_collect_to_arrow.py
	tests/test_collect_to_polars.py tests/test_config.py tests/test_entrypoints.py tests/test_hash_truncation.py tests/test_performance_warning.py tests/test_toml_source.py tests/ext/mcp tests/ext/dagster
	tests/ext/ray tests/examples"
cd "$checkout"
for mode in "$@"; do
	rm -f "$out/$mode.jsonl"
	# shellcheck disable=SC2086
	METAXY_TESTS=$mode METAXY_TESTS_LOG=$out/$mode.jsonl "$venv/bin/python" -m pytest -q -p no:cacheprovider -p no:randomly --timeout=180 --basetemp="$out/tmp/$mode" -o addopts="" \
		--ignore=tests/fixtures --junitxml="$out/$mode.xml" --tb=short ${PYTEST_ARGS:-$default} || true
	"$venv/bin/python" "$here/calls.py" "$out/$mode.jsonl"
done
"$venv/bin/python" "$here/compare.py" "$out/$1.xml" "$out/${!#}.xml"
