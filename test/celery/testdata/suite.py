"""Runs the cases of a module: python3 suite.py MODULE

A case is a function with the decorator case(AREA); it fails by an exception. For each, one line of JSON
tells how it went. Cases run side by side in threads, since most of their time they wait."""
import importlib
import json
import os
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

cases = []
output = threading.Lock()

# How long a case waits for a result: a machine may be busy.
PATIENCE = float(os.environ.get("PATIENCE", "60"))


def case(area):
    def register(function):
        cases.append((area, function))
        return function

    return register


def equal(got, want):
    assert got == want and type(got) is type(want), f"got {got!r}, want {want!r}"


def raises(name, call):
    """Returns the exception that call raises, which must be of a type of that name."""
    try:
        value = call()
    except Exception as error:
        assert type(error).__name__ == name, f"got {type(error).__name__}: {error}, want {name}"
        return error
    raise AssertionError(f"got {value!r}, want {name}")


def run(area, function):
    problem = None
    try:
        function()
    except BaseException:
        problem = traceback.format_exc()
    report = {"area": area, "case": function.__name__.replace("_", " "), "problem": problem}
    with output:
        print(json.dumps(report), flush=True)


def main():
    # Cases import what is above from "suite", not from "__main__".
    sys.modules["suite"] = sys.modules["__main__"]
    importlib.import_module(sys.argv[1])
    with ThreadPoolExecutor(len(cases)) as pool:
        for area, function in cases:
            pool.submit(run, area, function)


if __name__ == "__main__":
    main()
