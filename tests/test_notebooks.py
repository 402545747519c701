"""The notebooks: they and their answers run without a warning, and are committed with the output of their code."""

import re
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from conftest import ROOT

CELLS = {
    path.stem: nbformat.read(path, as_version=4).cells
    for path in sorted(ROOT.glob("notebooks/*.ipynb"))
}
CODE = {
    name: [cell for cell in CELLS[name] if cell.cell_type == "code"] for name in CELLS
}
ANSWER = re.compile(
    r"<details>\n<summary>Answer</summary>.*?```python\n(.*?)```\n\n</details>",
    flags=re.DOTALL,
)
MACHINE = r"(?<![\w:/])/(home|root|tmp|usr|Users|work|opt|var)/|[A-Z]:\\|site-packages|ipykernel_"

each_notebook = pytest.mark.parametrize("name", CELLS)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The code cells of both notebooks, run side by side, each with its answers in the same kernel."""

    def execute(name):
        answers = [code for cell in CELLS[name] for code in ANSWER.findall(cell.source)]
        notebook = new_notebook(
            cells=[
                new_code_cell(code)
                for code in [cell.source for cell in CODE[name]] + answers
            ]
        )
        folder = {"metadata": {"path": str(tmp_path_factory.mktemp(name))}}
        NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=600,
            coalesce_streams=True,
            resources=folder,
        ).execute()
        return notebook.cells

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as pool:
        patch.setenv(
            "https_proxy", "http://127.0.0.1:1"
        )  # nothing listens there, so a download is refused
        patch.setenv("TF_NUM_INTRAOP_THREADS", "1")  # quicker side by side
        for variable in ("PYTEST_CURRENT_TEST", "TF_CPP_MIN_LOG_LEVEL"):
            patch.delenv(
                variable, raising=False
            )  # would hide what TensorFlow writes to a reader's notebook
        return dict(zip(CELLS, pool.map(execute, CELLS)))


def kinds(cell):
    return [
        (output.output_type, output.get("name"), *sorted(output.get("data", ())))
        for output in cell.outputs
    ]


@each_notebook
def test_notebook_runs_without_a_warning_and_shows_what_it_was_committed_with(
    name, executed
):
    assert not [cell for cell in executed[name] if ("stream", "stderr") in kinds(cell)]
    for before, now in zip(CODE[name], executed[name]):
        assert kinds(before) == kinds(now), (
            f"run the notebook again, its output is not that of:\n{now.source}"
        )
        if now.source.startswith("show_code("):
            assert before.outputs[0].data == now.outputs[0].data, (
                "run the notebook again, a builder has changed"
            )


@each_notebook
def test_committed_output_has_no_empty_block_and_tells_nothing_of_the_machine(name):
    assert [cell.execution_count for cell in CODE[name]] == list(
        range(1, len(CODE[name]) + 1)
    )
    for output in (output for cell in CODE[name] for output in cell.outputs):
        texts = [
            text
            for kind, text in output.get("data", output).items()
            if kind.startswith("text")
        ]
        assert all(text.strip() for text in texts), output
        assert not re.search(MACHINE, "\n".join(texts))


def test_notebooks_close_with_four_exercises_and_their_last_answers_show_what_the_prose_says(
    executed,
):
    for cells in CELLS.values():
        heading, *exercises = [cell.source for cell in cells[-5:]]
        assert heading == "## Now change this"
        assert [text[:4] for text in exercises if ANSWER.search(text)] == [
            "**1.",
            "**2.",
            "**3.",
            "**4.",
        ]
    texts = [cells[-1].outputs[0].text for cells in executed.values()]
    (right, swapped, named), (_, by_label, _, shuffled) = (
        [*map(float, re.findall(r"\d\.\d{3}", t))] for t in texts
    )
    assert right == named > 0.7 > 0.4 > swapped
    assert shuffled > 0.7 > 0.1 > by_label


@each_notebook
def test_first_cell_installs_the_package_from_the_repository_and_from_nowhere_else(
    name, tmp_path, monkeypatch
):
    shell = mock.Mock()
    variables = {"get_ipython": lambda: shell}
    cell = TransformerManager().transform_cell(CODE[name][0].source)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    with pytest.raises(ModuleNotFoundError, match="Clone the repository"):
        exec(cell, variables)
    assert not shell.mock_calls
    (tmp_path / "keras_model_wars").mkdir()
    exec(cell, variables)
    shell.run_line_magic.assert_called_once_with(
        "pip", 'install --quiet "{repository}"'
    )
    assert variables["repository"] == tmp_path
