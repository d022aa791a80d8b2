# SPDX-License-Identifier: MIT
"""A program with CPython's multiprocessing.shared_memory, and the semaphores of multiprocessing.

programs.h says what it obeys.
"""

import sys
import _multiprocessing
from multiprocessing import resource_tracker, shared_memory

SEMAPHORE = 1
NUMBER_AT = 1024


def semaphore_of(name):
    """The named semaphore of that name, which is made if there is none."""
    while True:
        try:
            return _multiprocessing.SemLock._rebuild(0, SEMAPHORE, 1, name)
        except FileNotFoundError:
            pass
        try:
            return _multiprocessing.SemLock(SEMAPHORE, 1, 1, name, False)
        except FileExistsError:
            pass


class Peer:
    memory = None

    def posix(self, name):
        self.name = name

    def attach(self, size=None):
        self.memory = shared_memory.SharedMemory(
            self.name.lstrip("/"), create=size is not None, size=int(size or 0)
        )
        # CPython removes each segment of a process that has ended, even one that it only attached
        # to; here the names are the test's.
        resource_tracker.unregister(self.memory._name, "shared_memory")
        self.semaphore = semaphore_of(self.name)

    create = attach

    def detach(self):
        if self.memory:
            self.memory.close()
        self.memory = None

    end = detach

    def lock(self):
        self.semaphore.acquire()

    def unlock(self):
        self.semaphore.release()

    def increment(self, times):
        acquire, release = self.semaphore.acquire, self.semaphore.release
        with self.memory.buf[NUMBER_AT : NUMBER_AT + 8] as place, place.cast("Q") as number:
            for _ in range(int(times)):
                acquire()
                number[0] += 1
                release()

    def write(self, text):
        self.memory.buf[: len(text) + 1] = text.encode() + b"\0"

    def read(self):
        return bytes(self.memory.buf[:256]).split(b"\0")[0].decode()

    def size(self):
        return self.memory.size


if __name__ == "__main__":
    peer = Peer()
    for line in sys.stdin:
        word, *rest = line.split()
        try:
            answer = getattr(peer, word)(*rest)
        except Exception as error:
            answer = f"error {error}"
        print("ok" if answer is None else answer, flush=True)
