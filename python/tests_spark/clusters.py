"""Spark clusters of one machine whose files are all in a scratch folder, and their processes.

Executors of `local-cluster` and of a standalone master are processes of their own, so they can be killed. Spark starts no copy of a slow task on the
host of the first, so speculation needs workers on several addresses of the loopback.
"""

from __future__ import annotations

import contextlib
import glob
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyspark

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "2",
}


def home(scratch: Path) -> Path:
    """Return a SPARK_HOME of links: workers write into its folder `work`, which must not be that of the installed package."""
    found = scratch / "home"
    found.mkdir(parents=True, exist_ok=True)
    package = Path(pyspark.__file__).parent
    for entry in package.iterdir():
        if entry.name not in ("work", "__pycache__") and not (found / entry.name).exists():
            (found / entry.name).symlink_to(entry)
    return found


def jars() -> dict[str, str]:
    """Return the settings that bring delta-spark: jars that were fetched before, else those of Maven."""
    from importlib.metadata import version

    import delta  # noqa: F401

    v = version("delta-spark")
    known = [p for base in ("~/.ivy2.5.2", "~/.ivy2") for p in glob.glob(os.path.expanduser(f"{base}/jars/*.jar"))]
    if any("delta-spark_2.1" in p and v in p for p in known):
        scala = "_2.13" if v.startswith("4") else "_2.12"
        keep = [p for p in known if (scala in p and v in p) or (f"delta-storage-{v}" in p) or "antlr4" in p]
        return {"spark.jars": ",".join(keep)}
    scala = "2.13" if v.startswith("4") else "2.12"
    return {"spark.jars.packages": f"io.delta:delta-spark_{scala}:{v}"}


def environment(scratch: Path) -> dict[str, str]:
    """Return the variables under which Spark keeps to the scratch folder and to this Python."""
    return {
        "SPARK_HOME": str(home(scratch)),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(scratch / "local"),
    }


# Tests end before code that is compiled well has paid.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def settings(scratch: Path, **more: str) -> dict[str, str]:
    """Return the settings of a session for tests."""
    return {
        "spark.driver.extraJavaOptions": QUICK,
        "spark.executor.extraJavaOptions": QUICK,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.local.dir": str(scratch / "local"),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        **more,
    }


def session(master: str, scratch: Path, **more: str) -> Any:
    """Return a new session, after the one before has ended."""
    from pyspark.sql import SparkSession

    scratch.mkdir(parents=True, exist_ok=True)
    os.environ.update(environment(scratch))
    builder = SparkSession.builder.master(master).appName("metaxy-delta tests")
    for k, v in settings(scratch, **more).items():
        builder = builder.config(k, v)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    return spark


def end(spark: Any) -> None:
    """End a session with its driver's JVM, so that the next may have other settings and nothing of it is left."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    spark.stop()
    if gateway is not None:
        gateway.shutdown()
        process = getattr(gateway, "proc", None)
        if process is not None:
            process.stdin.close()
            process.wait(timeout=60)
    SparkContext._gateway = SparkContext._jvm = None


@contextlib.contextmanager
def standalone(scratch: Path, workers: int = 3) -> Iterator[str]:
    """Run a master and workers on addresses of their own, and give the master's URL."""
    scratch.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, **environment(scratch)}
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, address: str, *args: str) -> None:
        with open(scratch / f"{name}.log", "wb") as log:
            argv = [env["SPARK_HOME"] + "/bin/spark-class", *args]
            started.append(
                subprocess.Popen(
                    argv, env={**env, "SPARK_LOCAL_IP": address}, stdout=log, stderr=log, stdin=subprocess.DEVNULL
                )
            )

    url = f"spark://127.0.0.1:{port}"
    try:
        start(
            "master",
            "127.0.0.1",
            "org.apache.spark.deploy.master.Master",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--webui-port",
            "0",
        )
        wait(lambda: _listens(port), "the master")
        for i in range(workers):
            address = f"127.0.0.{i + 1}"
            args = [
                "--host",
                address,
                "--cores",
                "1",
                "--memory",
                "1g",
                "--webui-port",
                "0",
                "--work-dir",
                str(scratch / f"work{i}"),
                url,
            ]
            start(f"worker{i}", address, "org.apache.spark.deploy.worker.Worker", *args)
        yield url
    finally:
        for p in reversed(started):
            p.terminate()
        for p in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.wait(timeout=30)
            p.kill()
            p.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def wait(until: Callable[[], Any], what: str, seconds: float = 240) -> Any:
    """Wait for something that takes as long as the machine is slow; without it the test is none."""
    last = time.monotonic() + seconds
    while True:
        found = until()
        if found:
            return found
        assert time.monotonic() < last, f"{what} did not come"
        time.sleep(0.1)


def below(pid: int) -> dict[int, list[str]]:
    """Return the command lines of all processes that descend from one."""
    parents: dict[int, int] = {}
    lines: dict[int, list[str]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{entry}/stat").read_text()
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
            lines[int(entry)] = Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace").split("\0")
    found: dict[int, list[str]] = {}
    for p in parents:
        at = p
        while at in parents and at != pid:
            at = parents[at]
        if at == pid and p != pid:
            found[p] = lines.get(p, [])
    return found


def running(verb: str) -> list[int]:
    """Return the runs of a verb of the program below this process."""
    return [p for p, line in below(os.getpid()).items() if "cluster" in line and verb in line]


def executor_of(pid: int) -> int:
    """Return the executor that a process belongs to, which must descend from this process."""
    ours = below(os.getpid())
    while pid in ours:
        if any("CoarseGrainedExecutorBackend" in x for x in ours[pid]):
            return pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    raise LookupError("no executor of this test")


def kill_executor(verb: str) -> int:
    """Kill the executor under which a verb runs, once one does, and return its process number."""

    def found() -> int:
        for pid in running(verb):
            with contextlib.suppress(LookupError, OSError):
                return executor_of(pid)
        return 0

    pid: int = wait(found, f"an executor that runs {verb}")
    os.kill(pid, signal.SIGKILL)
    return pid


def jvms() -> list[list[str]]:
    """Return the Java processes below this one."""
    return [line for line in below(os.getpid()).values() if line and line[0].endswith("java")]


def in_thread(do: Callable[[], Any]) -> threading.Thread:
    """Run something beside the test."""
    found = threading.Thread(target=do, daemon=True)
    found.start()
    return found


def connect_jars() -> list[str]:
    """Return the arguments that bring the server of Spark Connect: Spark 4 has it, Spark 3.5 fetches it."""
    package = Path(pyspark.__file__).parent
    if any((package / "jars").glob("spark-connect_*.jar")):
        return ["--name", "connect", "spark-internal"]
    return ["--packages", f"org.apache.spark:spark-connect_2.12:{pyspark.__version__}", "spark-internal"]
