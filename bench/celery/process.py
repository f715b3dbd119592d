"""One process of Celery: process.py JOB. The protocol is that of bench/process.go, the job that of bench/system/system.go."""

import json
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time

from celery import Celery
from celery.signals import worker_process_init, worker_ready

USER = "ada.lovelace"
JOB = json.loads(sys.argv[1])

# What Celery prints goes to standard error.
out = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def say(text):
    out.write(f"{text}\n")


def stamp():
    return str(time.time_ns())


app = Celery("bench", broker=JOB["Broker"])
app.conf.task_ignore_result = True
app.conf.broker_transport_options = {"confirm_publish": True}


class Meter:
    """Counts in memory that the worker's processes share: each has a slot of its own."""

    def __init__(self, slots, latencies):
        self.taken = multiprocessing.Value("i", 0)
        self.count = multiprocessing.RawArray("q", slots)
        self.first = multiprocessing.RawArray("q", slots)
        self.last = multiprocessing.RawArray("q", slots)
        self.latencies = [multiprocessing.RawArray("q", latencies) for _ in range(slots)]
        self.slot = 0

    def take_slot(self, **_):
        with self.taken.get_lock():
            self.slot = self.taken.value
            self.taken.value += 1

    def started(self, sent):
        now, slot = time.time_ns(), self.slot
        if self.count[slot] == 0:
            self.first[slot] = now
        if JOB["Latency"]:
            self.latencies[slot][self.count[slot]] = now - int(sent)
        self.last[slot] = now
        self.count[slot] += 1

    def figures(self):
        latencies = [l for n, of in zip(self.count, self.latencies) for l in of[: n if JOB["Latency"] else 0]]
        return {
            "Tasks": sum(self.count),
            "First": min((t for t in self.first if t), default=0),
            "Last": max(self.last),
            "Latencies": latencies,
        }


if JOB["Role"] == "work":
    meter = Meter(JOB["Concurrency"], JOB["Tasks"] + 2 if JOB["Latency"] else 0)
    worker_process_init.connect(meter.take_slot, weak=False)


@app.task(name="bench.noop")
def noop(user, sent):
    meter.started(sent)


def fail(problem):
    """A process that can't tell its figures must end, or it would be waited for."""
    sys.excepthook(problem.exc_type, problem.exc_value, problem.exc_traceback)
    os._exit(1)


threading.excepthook = fail


def family():
    """The ids of this process and of its children."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as f:
        return [os.getpid(), *map(int, f.read().split())]


def cpu():
    """The CPU time of the worker and its processes in ms."""
    ticks = 0
    for pid in family():
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def peak():
    """The sum of the peaks of all processes in MB; what they share is counted in each."""
    kilobytes = 0
    for pid in family():
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            kilobytes += sum(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    return kilobytes / 1024


def work():
    def count(**_):
        def tell():
            before, told = cpu(), 0
            while not stopped.wait(0.02):
                n = sum(meter.count)
                if told == 0:
                    before = cpu()
                if n > told:
                    told = n
                    say(n)
            say(json.dumps(meter.figures() | {"CPU": cpu() - before, "RSS": peak()}))
            os.kill(os.getpid(), signal.SIGTERM)

        def listen():
            sys.stdin.readline()
            stopped.set()

        stopped = threading.Event()
        threading.Thread(target=tell, daemon=True).start()
        threading.Thread(target=listen, daemon=True).start()

    worker_ready.connect(count, weak=False)
    say("ready")
    sys.stdin.readline()
    app.worker_main(
        ["worker", "--loglevel=WARNING", f"--concurrency={JOB['Concurrency']}", f"--hostname=bench-{os.getpid()}@%h"]
    )


def send():
    noop.apply_async((USER, stamp()))
    say("ready")
    sys.stdin.readline()
    left, lock = JOB["Tasks"], threading.Lock()
    failures = []
    first, before = time.time_ns(), resource.getrusage(resource.RUSAGE_SELF)

    def run():
        nonlocal left
        while True:
            with lock:
                if left == 0:
                    return
                left -= 1
                number = JOB["Tasks"] - left
            if JOB["Rate"]:
                time.sleep(max(first / 1e9 + number / JOB["Rate"] - time.time(), 0))
            try:
                noop.apply_async((USER, stamp()))
            except Exception as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=run) for _ in range(max(JOB["Senders"], 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit(f"sending has failed: {failures[0]!r}")
    last, after = time.time_ns(), resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    say(json.dumps({"Tasks": JOB["Tasks"], "First": first, "Last": last, "CPU": used * 1000, "RSS": peak()}))


work() if JOB["Role"] == "work" else send()
