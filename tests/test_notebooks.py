"""The notebooks: they run, also after edits; their models and answers are right."""

import itertools
import re
from concurrent.futures import ThreadPoolExecutor

import keras
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

import keras_model_wars as kmw
from conftest import ROOT

FIRST, SECOND = [
    nbformat.read(path, as_version=4).cells
    for path in sorted(ROOT.glob("notebooks/*.ipynb"))
]
PAGE = (ROOT / "docs/answers.md").read_text("utf-8")
# The code of an answer, and what the page says that it prints.
ANSWER = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
ANSWERS = [ANSWER.findall(section) for section in PAGE.split("\n## ")[1:]]
NUMBER = re.compile(r"\d+\.\d+")
MACHINE = re.compile(r"(?<![\w:/])/(home|root|tmp|usr|Users)/|[A-Z]:\\|ipykernel_")

each_notebook = pytest.mark.parametrize("cells", [FIRST, SECOND], ids=["1", "2"])


def code_cells(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


def sources_of(cells):
    return [cell.source for cell in code_cells(cells)]


def with_answers(cells, answers):
    return sources_of(cells) + [code for code, _ in answers]


def with_few_epochs(sources):
    return [re.sub(r"epochs=\d+", "epochs=1", source) for source in sources]


@pytest.fixture(scope="module")
def execute(tmp_path_factory):
    """Run the code of two notebooks side by side, each in a kernel, as a reader does."""

    def run(sources):
        notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=600,
            iopub_timeout=60,  # output comes late on a busy machine
            coalesce_streams=True,
            resources={"metadata": {"path": str(tmp_path_factory.mktemp("kernel"))}},
        )
        client.execute()
        return notebook.cells

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as pool:
        # Nothing listens there, so a download is refused.
        patch.setenv("https_proxy", "http://127.0.0.1:1")
        # They would hide what is written to a reader's notebook, or its pictures.
        for name in ("PYTEST_CURRENT_TEST", "TF_CPP_MIN_LOG_LEVEL", "MPLBACKEND"):
            patch.delenv(name, raising=False)
        yield lambda notebooks: list(pool.map(run, notebooks))


@pytest.fixture(scope="module")
def executed(execute):
    """Both notebooks after one epoch, each followed by its answers."""
    notebooks = map(with_answers, (FIRST, SECOND), ANSWERS)
    return execute(map(with_few_epochs, notebooks))


def printed(executed):
    return [
        cell.outputs[0].text
        for cells, answers in zip(executed, ANSWERS)
        for cell in cells[-len(answers) :]
    ]


def expected():
    return [text for answers in ANSWERS for _, text in answers]


def numbers(texts):
    return [float(number) for number in NUMBER.findall("\n".join(texts))]


def kinds(cells):
    return [{output.output_type for output in cell.outputs} for cell in cells]


def test_notebooks_run_without_a_warning(executed):
    for cell in itertools.chain(*executed):
        for output in cell.outputs:
            assert output.get("name") != "stderr", output.text


def test_notebooks_are_committed_with_the_output_of_their_code(executed):
    for committed, now in zip((FIRST, SECOND), executed):
        cells = code_cells(committed)
        assert kinds(cells) == kinds(now[: len(cells)])


@each_notebook
def test_committed_output_tells_nothing_of_the_machine(cells):
    for cell in code_cells(cells):
        for output in cell.outputs:
            shown = output.get("data", output)
            assert not MACHINE.search(str(shown))


def test_answers_print_the_words_of_the_page(executed):
    for text, words in zip(printed(executed), expected(), strict=True):
        assert NUMBER.sub("", text) == NUMBER.sub("", words)


@pytest.mark.slow
def test_answers_print_the_numbers_of_the_page(execute):
    after_all_epochs = execute(map(with_answers, (FIRST, SECOND), ANSWERS))

    shown = numbers(printed(after_all_epochs))
    # Another machine has other last digits.
    assert shown == pytest.approx(numbers(expected()), abs=0.05)


@pytest.mark.slow
def test_notebooks_run_after_edits_and_an_import_of_tf_keras(execute):
    widths = itertools.count(100)

    def edit(cells):
        sources = ["from tensorflow import keras"]
        for source in with_few_epochs(sources_of(cells)):
            if "Dense(256" in source:
                source = source.replace("Dense(256", f"Dense({next(widths)}")
            sources.append(source)
        return sources

    execute([edit(FIRST), edit(SECOND)])

    assert next(widths) == 107  # seven models were edited


@each_notebook
def test_data_are_prepared_as_by_the_package(cells, sample):
    names = {"kmw": kmw}
    for source in sources_of(cells):
        if source.startswith(("(images", "x_all", "size")):
            exec(source, names)

    splits = kmw.prepare_digits(sample)
    assert (names["x_train"] == splits.train[0]).all()
    assert (names["y_val"] == splits.validation[1]).all()
    assert (names["x_test"] == splits.test[0]).all()


SMALL = {
    "wide_deep": {"hidden_units": (256, 128)},
    "two_input_two_output": {"hidden_units": (256, 128), "branch_units": 128},
}


@pytest.mark.parametrize("name", kmw.EXPERIMENTS)
def test_cell_builds_the_model_of_the_package(name):
    sources = sources_of(FIRST + SECOND)
    [source] = [source for source in sources if f'name="{name}"' in source]
    names = {"keras": keras, "layers": keras.layers}

    exec(source, names)

    [model] = [each for each in names.values() if isinstance(each, keras.Model)]
    built = kmw.EXPERIMENTS[name].builder(**SMALL.get(name, {}))
    assert model.to_json() == built.to_json()


def test_each_exercise_links_to_its_answer():
    exercises = FIRST[-1].source + "\n" + SECOND[-1].source

    titles = re.findall(r"^\*\*(\d\. .*?)\.?\*\*", exercises, re.MULTILINE)
    assert titles == re.findall("^### (.*)", PAGE, re.MULTILINE)
    assert exercises.count("(../docs/answers.md)") == 2
