"""Exceptions of tasks, on the driver."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from metaxy_delta._errors import MetaxyDeltaError, ProgramDiedError, ProgramNotFoundError, from_report
from metaxy_delta.spark._task import MARK


@contextlib.contextmanager
def as_program() -> Iterator[None]:
    """Raise what the program said in a task, instead of what Spark says of a task that failed."""
    try:
        yield
    except MetaxyDeltaError:
        raise
    except Exception as e:
        found = told(e)
        if found is None:
            raise
        raise found from e


def told(error: BaseException) -> MetaxyDeltaError | None:
    """Return the program's error out of one of Spark, None where there is none."""
    for line in str(error).splitlines():
        at = line.find(MARK)
        if at < 0:
            continue
        with contextlib.suppress(ValueError):
            report, _ = json.JSONDecoder().raw_decode(line[at + len(MARK) :])
            return of_task(report)
    return None


_OF_TASKS = {"NO_PROGRAM": ProgramNotFoundError, "PROGRAM_DIED": ProgramDiedError, "BAD_ANSWER": ProgramDiedError}


def of_task(report: dict[str, Any]) -> MetaxyDeltaError:
    """Return the exception for what a task tells, of the program or of itself."""
    kind = _OF_TASKS.get(str(report.get("error")))
    if kind is None:
        return from_report(report)
    known = {k: report[k] for k in ("hint", "retryable", "exit_code") if k in report}
    return kind(str(report["message"]), code=str(report["error"]), **known)
