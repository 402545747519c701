"""The notebooks: they and their answers run without a warning, and are committed with the output of their code."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

PATHS = sorted(Path(__file__).parents[1].glob("notebooks/*.ipynb"))
CELLS = {path.stem: nbformat.read(path, as_version=4).cells for path in PATHS}
CODE = {name: [cell for cell in cells if cell.cell_type == "code"] for name, cells in CELLS.items()}
ANSWER = re.compile(r"<details>\n<summary>Answer</summary>.*?```python\n(.*?)```\n\n</details>", flags=re.DOTALL)
MACHINE = r"(?<![\w:/])/(home|root|tmp|usr|Users|work|opt|var)/|[A-Z]:\\|site-packages|ipykernel_"

each_notebook = pytest.mark.parametrize("name", CELLS)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The code cells of both notebooks, run side by side, each with its answers in the same kernel."""

    def execute(path):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells += [new_code_cell(code) for cell in notebook.cells for code in ANSWER.findall(cell.source)]
        resources = {"metadata": {"path": str(tmp_path_factory.mktemp(path.stem))}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
        return [cell for cell in notebook.cells if cell.cell_type == "code"]

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as pool:
        for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            patch.setenv(proxy, "http://127.0.0.1:1")  # nothing listens there, so every download is refused
        for variable in ("PYTEST_CURRENT_TEST", "TF_CPP_MIN_LOG_LEVEL"):
            patch.delenv(variable, raising=False)  # would hide what TensorFlow writes to a reader's notebook
        return dict(zip(CELLS, pool.map(execute, PATHS)))


def kinds(cell):
    return [(output.output_type, output.get("name"), *sorted(output.get("data", ()))) for output in cell.outputs]


@each_notebook
def test_notebook_runs_without_a_warning_and_shows_what_it_was_committed_with(name, executed):
    for cell in executed[name]:
        assert ("stream", "stderr") not in kinds(cell), cell
    for before, now in zip(CODE[name], executed[name]):
        assert kinds(before) == kinds(now), f"run the notebook again, its output is not that of:\n{now.source}"
        if now.source.startswith("show_code("):
            assert before.outputs[0].data == now.outputs[0].data, "run the notebook again, a builder has changed"


@each_notebook
def test_committed_output_has_no_empty_block_and_tells_nothing_of_the_machine(name):
    outputs = [output for cell in CODE[name] for output in cell.outputs]

    assert [cell.execution_count for cell in CODE[name]] == list(range(1, len(CODE[name]) + 1))
    assert sum("image/png" in output.get("data", ()) for output in outputs) >= 7
    for output in outputs:
        texts = [text for kind, text in output.get("data", output).items() if kind.startswith("text")]
        assert all(text.strip() for text in texts), output
        assert output.output_type != "error"
        assert not re.search(MACHINE, "\n".join(texts))


def test_notebooks_close_with_four_exercises_and_their_last_answers_show_what_the_prose_says(executed):
    for cells in CELLS.values():
        heading, *exercises = [cell.source for cell in cells[-5:]]
        assert heading == "## Now change this"
        assert [text[:4] for text in exercises if ANSWER.search(text)] == ["**1.", "**2.", "**3.", "**4."]
    swapped, unshuffled = (re.findall(r"\d\.\d{3}", cells[-1].outputs[0].text) for cells in executed.values())
    right, wrong, named = map(float, swapped)
    assert right == named > 0.7 > 0.4 > wrong
    assert float(unshuffled[1]) < 0.1 < 0.7 < float(unshuffled[3])


@each_notebook
def test_first_cell_installs_the_package_from_the_repository_and_from_nowhere_else(name, tmp_path, monkeypatch):
    lines = []
    variables = {"get_ipython": lambda: SimpleNamespace(run_line_magic=lambda *line: lines.append(line))}
    cell = TransformerManager().transform_cell(CODE[name][0].source)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")

    with pytest.raises(ModuleNotFoundError, match="Clone the repository"):
        exec(cell, variables)
    assert not lines
    (tmp_path / "keras_model_wars").mkdir()
    exec(cell, variables)
    assert lines == [("pip", 'install --quiet "{repository}"')]
    assert variables["repository"] == tmp_path
