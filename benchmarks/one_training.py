"""One training in the way of one peer or setting, in a process of its own, which ``speed.py`` starts.

``python benchmarks/one_training.py WAY MODEL FOLDER EPOCHS`` finds the digits and the first weights in FOLDER, where
``speed.py`` put them. It prints a line of JSON an epoch, waits for a line on standard input before the next one, and
before what follows the last one; then it prints its peak memory and ends.
"""

import os
import sys
from pathlib import Path

from clock import Clock, peak_memory
from peers import PEERS
from settings import SETTINGS


def main() -> None:
    """Train, and tell ``speed.py`` how it goes."""
    way, model, folder, epochs = sys.argv[1:]
    lines_out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # progress bars and summaries are none of speed.py's lines
    clock = Clock(sys.stdin, lines_out)
    (PEERS | SETTINGS)[way][1](model, Path(folder), int(epochs), clock)
    clock.tell(peak_memory_mib=peak_memory())


if __name__ == "__main__":
    main()
