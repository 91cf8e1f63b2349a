"""A bucket on this machine that is as far away as one in a cloud: versitygw, behind the proxy of bench/compare."""
from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

KEY, SECRET = "compare", "compare-secret"


class Bucket:
    """The servers run as long as the block."""

    def __init__(self, server: str, collector: str, delay: int, scratch: Path):
        self.server, self.collector, self.delay, self.root = server, collector, delay, scratch / "server"
        self.running: list[subprocess.Popen] = []

    def __enter__(self) -> Bucket:
        (self.root / "bucket").mkdir(parents=True)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        env = {**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
        address = f"127.0.0.1:{port}"
        self.start([self.server, "--quiet", "--port", address, "posix", str(self.root)], env=env)
        self.direct = f"http://{address}"
        proxy = self.start([self.collector, "-proxy", self.direct, "-delay", f"{self.delay}ms"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = proxy.stdout.readline().strip()
        for _ in range(100):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        self.environment = {"AWS_ENDPOINT_URL": self.url, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
        return self

    def start(self, args: list[str], **more) -> subprocess.Popen:
        p = subprocess.Popen(args, **more)
        self.running.append(p)
        return p

    def __exit__(self, *_) -> None:
        for p in self.running:
            p.kill()
            p.wait()

    def put(self, store: Path) -> str:
        """Sends a store to the server itself, without the proxy, and returns its URL."""
        from pyarrow import fs

        name = f"{store.parent.name}-{store.name}"
        s3 = fs.S3FileSystem(access_key=KEY, secret_key=SECRET, region="us-east-1", endpoint_override=self.direct.removeprefix("http://"), scheme="http")
        if not (self.root / "bucket" / name).exists():
            fs.copy_files(str(store), f"bucket/{name}", destination_filesystem=s3)
        return f"s3://bucket/{name}"

    def forget(self, url: str) -> None:
        """Drops what a resolve remembered beside its table."""
        for path in (self.root / "bucket" / url.rsplit("/", 1)[1]).rglob("_metaxy_delta"):
            shutil.rmtree(path)

    def totals(self) -> dict:
        """Requests and bytes of answers since the last time."""
        with urllib.request.urlopen(self.url + "/.totals") as r:
            return json.load(r)
