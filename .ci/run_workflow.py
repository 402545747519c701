"""Run the Linux jobs of the workflow here: each in a clone and an environment of its own.

    python .ci/run_workflow.py                  # every job, every Python
    python .ci/run_workflow.py lowest notebooks

Needs PyYAML, git and the Pythons, as ``python3.10`` and so on or from pyenv. What an
action does is left to this script: a clone and a virtual environment stand for
``checkout`` and ``setup-python``. Prints the seconds of each step; exits with status 1 if
one fails.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run the jobs that are named, or all."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    names = sys.argv[1:] or list(workflow["jobs"])
    passed = True
    for name in names:
        job = workflow["jobs"][name]
        if job["runs-on"] != "ubuntu-latest":
            print(f"{name}: left out, it runs on {job['runs-on']}", flush=True)
            continue
        for python in pythons(job):
            passed &= run_job(f"{name}, Python {python}", job["steps"], python)
    sys.exit(0 if passed else 1)


def pythons(job: dict) -> list[str]:
    """Return the versions of Python that a job runs on."""
    if "strategy" in job:
        return job["strategy"]["matrix"]["python"]
    for step in job["steps"]:
        if "setup-python" in step.get("uses", ""):
            return [step["with"]["python-version"]]
    raise ValueError("A job should set up a Python.")


def run_job(title: str, steps: list[dict], python: str) -> bool:
    """Run the steps of a job in a new clone; tell whether all of them passed."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        environment = new_environment(Path(folder) / "environment", python)
        passed = True
        for step in steps:
            if "run" not in step or (not passed and "cancelled()" not in str(step)):
                continue
            started = time.perf_counter()
            # As GitHub runs a step on Linux.
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=clone,
                env=environment | step.get("env", {}),
            )
            seconds = time.perf_counter() - started
            first_line = step["run"].splitlines()[0]
            print(
                f"{title}: {first_line}: status {done.returncode}, {seconds:.0f} s",
                flush=True,
            )
            passed &= done.returncode == 0
    return passed


def new_environment(folder: Path, python: str) -> dict[str, str]:
    """Make a virtual environment; return the variables of a shell that is in it."""
    pyenv = sorted((Path.home() / ".pyenv/versions").glob(f"{python}.*/bin/python"))
    interpreter = pyenv[-1] if pyenv else shutil.which(f"python{python}")
    if interpreter is None:
        raise FileNotFoundError(f"python{python} should be installed.")
    subprocess.run([interpreter, "-m", "venv", folder], check=True)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return dict(os.environ, PATH=path, VIRTUAL_ENV=str(folder), CI="true")


if __name__ == "__main__":
    main()
