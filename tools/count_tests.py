#!/usr/bin/python3
"""Adds up what `meson test` did in some build folders; the last line is "N passed, N failed".

A program that speaks TAP counts its single tests, any other counts as one. Skipped tests are named, counted, and are
failures where INLAY_TEST_DATA is set: with the data at hand nothing has a reason to skip.
"""
import os
import sys
import xml.etree.ElementTree as xml


def cases(folder):
    """(name, "passed" | "failed" | "skipped") of every test of a build folder's last run."""
    log = os.path.join(folder, "meson-logs", "testlog.junit.xml")
    if not os.path.exists(log):
        yield f"{folder}: could not be built or run", "failed"
        return
    for suite in xml.parse(log).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            kinds = {child.tag for child in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            yield f'{folder}: {suite.get("name")}: {case.get("name")}', outcome


def main():
    outcomes = [case for folder in sys.argv[1:] for case in cases(folder)]
    for name, outcome in outcomes:
        if outcome != "passed":
            print(f"{outcome}: {name}")
    count = {kind: sum(outcome == kind for _, outcome in outcomes) for kind in ("passed", "failed", "skipped")}
    if os.environ.get("INLAY_TEST_DATA"):
        count["failed"] += count.pop("skipped")
    print(", ".join(f"{n} {kind}" for kind, n in count.items() if n or kind != "skipped"))
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
