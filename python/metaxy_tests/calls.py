"""calls.py CALLS.jsonl: who answered how many calls of resolve_update, and what was different."""

from __future__ import annotations

import collections
import json
import sys
from pathlib import Path

path = Path(sys.argv[1])
rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
print("calls of resolve_update:", dict(collections.Counter(r["event"] for r in rows)))
for r in rows:
    if r["event"] == "error" or r.get("why") or r.get("diff"):
        print("-", r["event"], r["test"], r.get("args"), r.get("why") or r.get("error") or "")
        for d in r.get("diff") or ():
            print("   ", d[:700])
