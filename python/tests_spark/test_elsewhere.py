"""Spark Connect, where there is no SparkContext, a store in a bucket, and spark-submit."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward
import clusters
import compare
import pyarrow.parquet as pq
import pytest
from conftest import Control
from test_cluster import resolve, same

import metaxy_delta.spark as mxd
from metaxy_delta import MetaxyDeltaError

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def store(_control: Control, tmp_path_factory: pytest.TempPathFactory) -> awkward.Store:
    return awkward.make(tmp_path_factory.mktemp("awkward"), samples=400)


CONNECT = """
import sys, warnings
sys.path[:0] = [{here!r}]
from pyspark.sql import SparkSession
import awkward, compare, pyarrow.parquet as pq
import metaxy_delta.spark as mxd
spark = SparkSession.builder.remote({url!r}).getOrCreate()
assert type(spark).__module__ == "pyspark.sql.connect.session"
for distribute in (True, False):
    inc = mxd.resolve_update(spark, {root!r}, "rec/norm", distribute=distribute, partition_rows=300, persist=distribute)
    got = compare.parts(inc)
    for part, rows in got.items():
        print(part, rows.num_rows, compare.difference(pq.read_table({out!r} + "/" + part + ".parquet"), rows) or "EQUAL")
    assert inc.stats()["stale"] == got["stale"].num_rows
    assert inc.stale.count() == got["stale"].num_rows
try:
    mxd.resolve_update(spark, {root!r}, "rec/norm", distribute=True, samples=spark.range(1)).stats()
except Exception as e:
    print("refused:", type(e).__name__)
"""


def test_spark_connect(store: awkward.Store, tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="pyspark[connect] is not installed")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {**os.environ, **clusters.environment(tmp_path), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    settings = {
        **clusters.settings(tmp_path),
        "spark.connect.grpc.binding.port": str(port),
        "spark.connect.grpc.binding.address": "127.0.0.1",
    }
    conf = [x for k, v in settings.items() for x in ("--conf", f"{k}={v}")]
    argv = [
        env["SPARK_HOME"] + "/bin/spark-submit",
        "--master",
        "local[2]",
        *conf,
        "--class",
        "org.apache.spark.sql.connect.service.SparkConnectServer",
    ]
    argv += clusters.connect_jars()
    out = tmp_path / "out"
    store.run("resolve", "rec/norm", "--out", str(out))
    with open(tmp_path / "server.log", "wb") as log:
        server = subprocess.Popen(argv, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        clusters.wait(lambda: clusters._listens(port) or server.poll() is not None, "Spark Connect")
        assert server.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
        script = CONNECT.format(here=str(HERE), url=f"sc://127.0.0.1:{port}", root=str(store.root), out=str(out))
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=env, capture_output=True, text=True)
    finally:
        server.terminate()
        server.wait(timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("EQUAL") == 6, done.stdout
    assert "refused" in done.stdout


@contextlib.contextmanager
def versitygw(folder: Path) -> Iterator[dict[str, str]]:
    """Run an S3 server over a folder, and give the storage options of it."""
    program = HERE.parents[1] / "bin" / "versitygw"
    if not program.exists():
        pytest.skip("there is no bin/versitygw: make servers")
    (folder / "root" / "bucket").mkdir(parents=True)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {**os.environ, "ROOT_ACCESS_KEY": "key", "ROOT_SECRET_KEY": "secret"}
    server = subprocess.Popen(
        [program, "--quiet", "--port", f"127.0.0.1:{port}", "posix", str(folder / "root")],
        env=env,
        stdout=subprocess.DEVNULL,
    )
    try:
        clusters.wait(lambda: clusters._listens(port), "versitygw")
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
        }  # fmt: skip
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_a_store_in_a_bucket(spark: Any, store: awkward.Store, tmp_path: Path) -> None:
    """Executors read it by themselves, with the options that the driver gave. Options that are wrong for them are an exception."""
    with versitygw(tmp_path) as options:
        shutil.copytree(store.root, tmp_path / "root" / "bucket" / "store")
        for key in ("rec/norm", "rec/chunk"):
            inc = resolve(spark, "s3://bucket/store", key, storage_options=options, reader="direct", partition_rows=300)
            assert not same(inc, store.resolve(key))
            assert inc.read_by == "program"


def test_credentials_that_only_the_driver_has(
    spark: Any, store: awkward.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with versitygw(tmp_path) as options:
        shutil.copytree(store.root, tmp_path / "root" / "bucket" / "store")
        for name, value in options.items():
            monkeypatch.setenv(name, value)  # executors were started before, and do not have them
        with pytest.raises(MetaxyDeltaError) as e:
            resolve(spark, "s3://bucket/store", "rec/norm", reader="direct")
        assert e.value.exit_code in (6, 7), e.value


def test_spark_submit(store: awkward.Store, tmp_path: Path) -> None:
    env = {**os.environ, **clusters.environment(tmp_path), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    conf = [x for k, v in clusters.settings(tmp_path).items() for x in ("--conf", f"{k}={v}")]
    script = Path(mxd.__file__).with_name("__main__.py")
    argv = [env["SPARK_HOME"] + "/bin/spark-submit", "--master", "local[2]", *conf, str(script), "resolve", "rec/norm"]
    argv += [
        "--store",
        str(store.root),
        "--out",
        str(tmp_path / "out"),
        "--partition-rows",
        "300",
        "--distribute",
        "yes",
    ]
    done = subprocess.run(argv, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout[done.stdout.index("{") :])
    for part, want in store.resolve("rec/norm").items():
        got = pq.read_table(tmp_path / "out" / part)
        assert not compare.difference(want, got), part
        assert said[part] == want.num_rows
    bad = subprocess.run([*argv[:-2], "--filter", "nothing"], env=env, capture_output=True, text=True)
    assert bad.returncode == 2


DYING = """
import sys
sys.path[:0] = [{here!r}]
from pathlib import Path
import clusters
import metaxy_delta.spark as mxd
spark = clusters.session("local[2]", Path({scratch!r}))
mxd.resolve_update(spark, {root!r}, "rec/norm", distribute=True, reader="direct").stats()
"""


def test_a_driver_that_dies(store: awkward.Store, control: Control, tmp_path: Path) -> None:
    """Its JVM, its Python workers and their programs end with it."""
    control.hold("resolve")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    script = DYING.format(here=str(HERE), scratch=str(tmp_path), root=str(store.root))
    with open(tmp_path / "log", "wb") as log:
        driver = subprocess.Popen([sys.executable, "-W", "ignore", "-c", script], env=env, stdout=log, stderr=log)
    clusters.wait(lambda: clusters.running("resolve") or driver.poll() is not None, "a run of resolve")
    family = clusters.below(driver.pid)
    assert any("cluster" in line for line in family.values()), (tmp_path / "log").read_text()[-2000:]
    driver.kill()
    driver.wait()
    clusters.wait(lambda: not [p for p in family if alive(p)], "the end of all processes of the driver", 120)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
