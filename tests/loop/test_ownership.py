"""Which thread has a stack: what that rests on must not hang, whatever other threads do."""

from __future__ import annotations

import subprocess
import sys

BESIDE_GARBAGE = """
import gc, sys, threading, time
from sraccel.loop.ownership import Ownership

class Garbage:
    def __init__(self):
        self.itself, self.local = self, threading.local()

def deep(level):
    if level:
        deep(level - 1)

def work():
    while True:
        Garbage()
        deep(10)

for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
gc.set_threshold(20)
sys.setswitchinterval(1e-5)
ownership, end = Ownership(object()), time.monotonic() + 1
while time.monotonic() < end:
    assert not ownership.others_run()
assert gc.isenabled()
print("asked for a second")
"""


def test_asking_for_other_threads_does_not_wait_for_their_garbage() -> None:
    """Without a pause of its collection, CPython 3.11.7 hangs here at once."""
    command = [sys.executable, "-c", BESIDE_GARBAGE]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert asked.stdout == "asked for a second\n", asked.stderr
