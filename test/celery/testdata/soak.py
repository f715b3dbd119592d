"""Runs the cases of calls.py in any order and beside each other: python3 soak.py SECONDS THREADS

The last line of the output is {"runs": {AREA: COUNT}, "wrong": [TEXT]}."""
import importlib
import json
import random
import sys
import threading
import time
import traceback

import suite

importlib.import_module("calls")
end = time.monotonic() + float(sys.argv[1])
lock = threading.Lock()
runs, wrong = {}, []


def work(number):
    order = random.Random(number)
    while time.monotonic() < end:
        area, function = order.choice(suite.cases)
        try:
            function()
        except BaseException:
            with lock:
                wrong.append(f"{area}, {function.__name__}: {traceback.format_exc()}")
        with lock:
            runs[area] = runs.get(area, 0) + 1


threads = [threading.Thread(target=work, args=(number,)) for number in range(int(sys.argv[2]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"runs": runs, "wrong": wrong}))
