"""Time the epochs of one training for ``speed.py``, which lets only one training run at a time."""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any, TextIO


class Clock:
    """Report each epoch as a line of JSON, and start one only when a line comes in."""

    def __init__(self, lines_in: TextIO, lines_out: TextIO) -> None:
        self._in, self._out = lines_in, lines_out

    def report(self, **facts: Any) -> None:
        """Write one line of JSON."""
        print(json.dumps(facts), file=self._out, flush=True)

    def start(self) -> None:
        """Wait for this training's turn and start an epoch."""
        if not self._in.readline():
            sys.exit("The benchmark that started this training is gone.")
        self._start = time.perf_counter()

    def epoch_done(self, logs: dict[str, float]) -> None:
        """Report the epoch's seconds and metrics; start the next one."""
        seconds = time.perf_counter() - self._start
        self.report(
            epoch_seconds=seconds,
            logs={name: float(value) for name, value in logs.items()},
        )
        self.start()


def watch_fit(clock: Clock) -> None:
    """Let the clock time every ``fit`` from now on, including the one inside the package's ``train``.

    An epoch ends where the next one begins, so that saving the model counts, which the package's own record leaves out.
    """
    import keras

    class Ticks(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch > 0:
                clock.epoch_done(self.metrics)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.metrics = logs

        def on_train_end(self, logs: Any = None) -> None:
            clock.epoch_done(self.metrics)

    fit = keras.Model.fit

    def watched_fit(
        self: keras.Model, *arguments: Any, callbacks: Any = (), **keywords: Any
    ) -> Any:
        clock.start()
        return fit(self, *arguments, callbacks=[Ticks(), *callbacks], **keywords)

    keras.Model.fit = watched_fit


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MiB (Linux and macOS)."""
    if (
        sys.platform == "linux"
    ):  # ru_maxrss won't do there: a new process inherits that of its parent
        return (
            int(
                re.search(
                    r"VmHWM:\s+(\d+)",
                    Path("/proc/self/status").read_text(encoding="utf-8"),
                )[1]
            )
            / 2**10
        )
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
