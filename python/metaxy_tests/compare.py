"""compare.py BASE.xml OURS.xml: tests whose result is another one. Fails when one that passed does not."""

from __future__ import annotations

import collections
import sys
from xml.etree import ElementTree


def results(path: str) -> dict[str, tuple[str, str]]:
    """The result of each test, and what it said."""
    found = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name, state, said = f"{case.get('classname')}::{case.get('name')}", "passed", ""
        for child in case:
            if child.tag in ("failure", "error", "skipped"):
                state, said = ("skipped" if child.tag == "skipped" else "failed"), (child.get("message") or "")[:300]
        found[name] = (state, said)
    return found


base, ours = results(sys.argv[1]), results(sys.argv[2])
for title, found in (("base", base), ("ours", ours)):
    print(title, len(found), dict(collections.Counter(s for s, _ in found.values())))
lost = [k for k, (s, _) in base.items() if s == "passed" and ours.get(k, ("", ""))[0] != "passed"]
for k in lost:
    print("LOST", k, ours.get(k))
for k, (s, _) in base.items():
    if s != "passed" and ours.get(k, ("", ""))[0] == "passed":
        print("WON", k)
print(
    f"{sum(s == 'passed' for s, _ in base.values()) - len(lost)} of {sum(s == 'passed' for s, _ in base.values())} that pass with Metaxy's store pass with ours"
)
sys.exit(bool(lost))
