"""The notebooks: they run, their models are the package's, and their answers are right."""

import re
from concurrent.futures import ThreadPoolExecutor

import keras
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

import keras_model_wars as kmw
from conftest import ROOT

NOTEBOOKS = {
    path.stem: nbformat.read(path, as_version=4)
    for path in sorted(ROOT.glob("notebooks/*.ipynb"))
}
FIRST, SECOND = NOTEBOOKS
# Code of an answer, and what the notebook says that it prints.
ANSWER = re.compile(
    r"<summary>Answer</summary>.*?```python\n(.*?)```.*?It prints:\n\n```\n(.*?)\n```",
    flags=re.DOTALL,
)
NUMBER = re.compile(r"\d+\.\d+")
MACHINE = re.compile(
    r"(?<![\w:/])/(home|root|tmp|usr|Users|work|opt|var)/"
    r"|[A-Z]:\\|site-packages|ipykernel_|0x[0-9a-f]{6}"
)

each_notebook = pytest.mark.parametrize("name", NOTEBOOKS)


def code_cells(name):
    return [cell for cell in NOTEBOOKS[name].cells if cell.cell_type == "code"]


def answers(name):
    return [
        answer
        for cell in NOTEBOOKS[name].cells
        for answer in ANSWER.findall(cell.source)
    ]


def printed(cell):
    return "".join(output.get("text", "") for output in cell.outputs).rstrip()


def kinds(cell):
    return [output.output_type for output in cell.outputs]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The code cells of both notebooks, run side by side, each followed by its answers."""

    def execute(name):
        sources = [cell.source for cell in code_cells(name)]
        sources += [code for code, _ in answers(name)]
        notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
        folder = tmp_path_factory.mktemp(name)
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=600,
            iopub_timeout=60,  # output comes late on a busy machine
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute()
        return notebook.cells

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as pool:
        # Nothing listens there, so a download is refused.
        patch.setenv("https_proxy", "http://127.0.0.1:1")
        patch.setenv("TF_NUM_INTRAOP_THREADS", "1")  # quicker side by side
        # Both hide what is written to a reader's notebook.
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)
        patch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
        # The command, which other tests call, draws into files alone.
        patch.delenv("MPLBACKEND", raising=False)
        return dict(zip(NOTEBOOKS, pool.map(execute, NOTEBOOKS)))


@each_notebook
def test_notebook_runs_without_a_warning(name, executed):
    noise = [
        output.text
        for cell in executed[name]
        for output in cell.outputs
        if output.get("name") == "stderr"
    ]

    assert noise == []


@each_notebook
def test_notebook_was_committed_with_the_output_of_its_code(name, executed):
    for committed, now in zip(code_cells(name), executed[name]):
        assert kinds(committed) == kinds(now), now.source


@each_notebook
def test_committed_output_tells_nothing_of_the_machine(name):
    for cell in code_cells(name):
        for output in cell.outputs:
            for text in output.get("data", output).values():
                assert not MACHINE.search(str(text)), cell.source


@each_notebook
def test_answers_print_what_the_notebook_shows(name, executed):
    shown = [text for _, text in answers(name)]
    cells = executed[name][-len(shown) :]

    for expected, cell in zip(shown, cells):
        # Another machine has other last digits.
        assert NUMBER.sub("", printed(cell)) == NUMBER.sub("", expected)
        numbers = [float(number) for number in NUMBER.findall(printed(cell))]
        assert numbers == pytest.approx(
            [float(number) for number in NUMBER.findall(expected)], abs=0.05
        )


def numbers_of_answer(executed, name, number):
    cell = executed[name][number - 1 - len(answers(name))]
    return [float(text) for text in NUMBER.findall(printed(cell))]


def test_fewer_units_make_half_as_many_mistakes_again(executed):
    large, small = numbers_of_answer(executed, FIRST, 1)

    assert (1 - small) / (1 - large) == pytest.approx(1.5, abs=0.4)


def test_five_epochs_of_larger_steps_get_farther_than_twenty(executed):
    _, quick, _, _, _, slow = numbers_of_answer(executed, FIRST, 2)

    assert quick > slow - 0.01  # on another Keras, a few images fewer


def test_each_path_learns_and_the_deep_one_learns_more(executed):
    bypass, deep, both = numbers_of_answer(executed, FIRST, 3)

    assert 0.8 < bypass < deep
    assert both == pytest.approx(deep, abs=0.04)


def test_swapped_inputs_are_guesses_unless_they_have_names(executed):
    right, swapped, named = numbers_of_answer(executed, FIRST, 4)

    assert right == named > 0.7
    assert swapped < 0.3


def test_same_image_twice_has_the_probability_of_the_bias(executed):
    lowest, highest, bias = numbers_of_answer(executed, SECOND, 2)

    assert lowest == highest == bias


def test_sorted_images_validate_on_classes_never_trained(executed):
    _, by_label, _, shuffled = numbers_of_answer(executed, SECOND, 3)

    assert by_label < 0.1
    assert shuffled > 0.8


def test_the_reader_s_own_model_wins(executed):
    twin, mine = numbers_of_answer(executed, SECOND, 4)

    assert mine > twin


SMALL = {"hidden_units": (256, 128)}


@pytest.mark.parametrize(
    ("name", "variable", "build", "settings"),
    [
        (FIRST, "sequential", kmw.build_sequential, {}),
        (FIRST, "wide_deep", kmw.build_wide_deep, SMALL),
        (
            FIRST,
            "two_outputs",
            kmw.build_two_input_two_output,
            {"branch_units": 128, **SMALL},
        ),
        (SECOND, "added", kmw.build_added_sequential, {}),
        (SECOND, "twin", kmw.build_functional_twin, {}),
        (SECOND, "shared", kmw.build_shared_layers, {}),
    ],
)
def test_cell_builds_the_model_of_the_package(name, variable, build, settings):
    start = re.compile(rf"^{variable} = keras\.(Sequential|Model)\(", re.MULTILINE)
    (source,) = [cell.source for cell in code_cells(name) if start.search(cell.source)]
    names = {"keras": keras, "layers": keras.layers}

    exec(source, names)

    assert names[variable].to_json() == build(**settings).to_json()


@each_notebook
@pytest.mark.parametrize(
    "step", [".summary()", ".compile(", ".fit(", ".evaluate(", ".predict(", "/ 255"]
)
def test_notebook_shows_the_steps(name, step):
    assert any(step in cell.source for cell in code_cells(name))


def test_data_are_scaled_and_split_as_by_the_package():
    sources = [cell.source for cell in code_cells(FIRST)]
    names = {"kmw": kmw}
    (load,) = [source for source in sources if "load_mnist(" in source]
    (scale,) = [source for source in sources if "/ 255" in source]
    (split,) = [source for source in sources if "size = " in source]
    (halve,) = [source for source in sources if "half = " in source]

    exec("\n".join([load, scale, split, halve]), names)

    x = kmw.scale_pixels(names["images"])
    (x_train, y_train), (x_val, y_val) = kmw.split_validation(x, names["labels"])
    pair, pair_labels = kmw.split_two_inputs(x_train, y_train)
    expected = [x_train, y_train, x_val, y_val, *pair.values(), *pair_labels.values()]
    ours = [names[name] for name in ("x_train", "y_train", "x_val", "y_val")]
    ours += [*names["pair"].values(), *names["pair_labels"].values()]
    for array, other in zip(ours, expected, strict=True):
        assert (array == other).all()


@each_notebook
def test_notebook_closes_with_four_exercises(name):
    assert len(answers(name)) == 4
