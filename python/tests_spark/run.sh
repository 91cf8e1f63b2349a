#!/usr/bin/env bash
# Runs tests on Spark. Without SPARK_PYTHON, a Python with what requirements.txt
# names, those that a change must pass: they need Java and, the first time, the
# network; where either is missing it says so and leaves them out. With
# SPARK_PYTHON all, which fetch the jars of delta-spark, too.
set -euo pipefail
cd "$(dirname "$0")/../.."
left_out() {
	echo "Tests on Spark left out: $1"
	exit 0
}
java -version >/dev/null 2>&1 || left_out "there is no Java"
program=${METAXY_DELTA_BIN:-}
if [ -z "$program" ]; then
	program=$PWD/bin/metaxy-delta
	CGO_ENABLED=0 go build -trimpath -o "$program" ./cmd/metaxy-delta
fi
if [ -n "${SPARK_PYTHON:-}" ]; then
	python=$SPARK_PYTHON
	set -- "${@:-python/tests_spark}"
else
	venv=$PWD/bin/.spark
	python=$venv/bin/python
	if ! cmp -s python/tests_spark/requirements.txt "$venv/requirements.txt"; then
		"${PYTHON:-python3}" -m venv --clear "$venv"
		"$venv/bin/pip" install --quiet --disable-pip-version-check -r python/tests_spark/requirements.txt || left_out "pip could not install what they need"
		cp python/tests_spark/requirements.txt "$venv"
	fi
	export METAXY_DELTA_SPARK_MASTER="local-cluster[2,1,1024]"
	set -- python/tests_spark/test_task.py python/tests_spark/test_cluster.py -m small
fi
METAXY_DELTA_BIN=$program PYTHONPATH=$PWD/python/src exec "$python" -m pytest -q -p no:cacheprovider -c python/pyproject.toml --rootdir python "$@"
