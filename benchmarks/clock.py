"""Time the epochs of one training, which waits for its turn before each of them."""

import re
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


class Clock:
    """Start an epoch when a message comes in, and send back what it took."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def start(self) -> None:
        """Wait for this training's turn and start an epoch."""
        self.connection.recv()
        self.started = time.perf_counter()

    def epoch_done(self, logs: dict[str, float]) -> None:
        """Send the epoch's seconds, metrics and peak memory; start the next one."""
        report = {"seconds": time.perf_counter() - self.started}
        report["peak_memory_mib"] = peak_memory()
        for name, value in logs.items():
            report[name] = float(value)
        self.connection.send(report)
        self.start()


def watch_fit(clock: Clock) -> None:
    """Let the clock time every ``fit`` from now on, also the one in the package's ``train``."""
    import keras

    class Ticks(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            clock.start()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            clock.epoch_done(logs)

    fit = keras.Model.fit

    def watched_fit(
        self: keras.Model, *arguments: Any, callbacks: Any = (), **keywords: Any
    ) -> Any:
        # The last callback, so that saving the model counts.
        return fit(self, *arguments, callbacks=[*callbacks, Ticks()], **keywords)

    keras.Model.fit = watched_fit


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MiB, on Linux."""
    # Not getrusage's ru_maxrss: a new process inherits that of its parent.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kibibytes = re.search(r"VmHWM:\s+(\d+)", status)[1]
    return int(kibibytes) / 1024
