"""What a script of interoperation saw: every check is counted, a fault is printed at once, and any fault makes the exit code 1."""
from __future__ import annotations

import sys

FAULTS: list[str] = []
_checks = 0


def check(what: str, ok: bool, detail: object = "") -> None:
    global _checks
    _checks += 1
    if not ok:
        FAULTS.append(what)
        print("FAIL ", what, detail)


def end(title: str, tables: int) -> None:
    print(f"{title}: {tables} tables, {_checks} checks,", "all passed" if not FAULTS else f"{len(FAULTS)} failed")
    sys.exit(1 if FAULTS else 0)
