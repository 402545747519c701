"""What the epochs of one training take, told to ``speed.py``, which lets one training run at a time."""

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import keras


class Clock:
    """What each epoch took and reached: a line of JSON an epoch, and the next epoch waits for a line to come in."""

    def __init__(self, lines_in: TextIO, lines_out: TextIO) -> None:
        self._in, self._out = lines_in, lines_out

    def tell(self, **facts: Any) -> None:
        """Tell what was measured."""
        print(json.dumps(facts), file=self._out, flush=True)

    def start(self) -> None:
        """Start the first epoch."""
        self._start = time.perf_counter()

    def validated(self, logs: dict[str, float]) -> None:
        """Note that the epoch's digits are learned and validated, with what metrics."""
        self._validated = time.perf_counter()
        self._logs = {name: float(value) for name, value in logs.items()}

    def over(self) -> None:
        """Tell that all that belongs to the epoch is done, such as saving it; start the next one when it is its turn."""
        now = time.perf_counter()
        self.tell(epoch_seconds=now - self._start, saving_seconds=now - self._validated, logs=self._logs)
        if not self._in.readline():
            sys.exit("The benchmark that started this training is gone.")
        self._start = time.perf_counter()


def watch_fit(clock: Clock) -> None:
    """Let the clock tick in every ``fit`` from now on, the one inside the package's ``train`` included.

    The package's own record of the seconds leaves out what follows it in the epoch, such as the backup.
    """
    import keras

    ticks = keras.callbacks.LambdaCallback(
        # First in the list, so an epoch begins where all that belongs to the last one is done.
        on_epoch_begin=lambda epoch, logs: clock.over() if epoch > 0 else None,
        on_epoch_end=lambda epoch, logs: clock.validated(logs),
        on_train_end=lambda logs: clock.over(),
    )
    fit = keras.Model.fit

    def watched(self: "keras.Model", *arguments: Any, callbacks: Any = (), **keywords: Any) -> Any:
        clock.start()
        return fit(self, *arguments, callbacks=[ticks, *callbacks], **keywords)

    keras.Model.fit = watched


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    try:
        # Linux's ru_maxrss won't do: a new process inherits that of the one that started it.
        return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 2**10
    except (OSError, TypeError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
