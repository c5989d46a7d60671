"""Entries of the papers: complete, pointing at what exists, and accepted by the real parsers."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from framecast import published, registry
from framecast.cli import demo, evaluate, inspect, models, predict, train
from framecast.cli.options import NESTED, parse
from framecast.config import to_json
from framecast.data.recorded import RecordedConfig
from framecast.errors import ConfigError
from framecast.evaluation.protocol import find as protocol
from framecast.experiment import Experiment
from framecast.reproduction import (
    COLLECTIONS,
    PAPERS,
    SCALES,
    Entry,
    Measure,
    Part,
    Place,
    Scale,
    Step,
    Training,
    entries,
    find,
    plan,
    sources,
)
from framecast.reproduction.planning import datasets

FIGURES = {"s-hr-vqvae": 7, "video-vqvae": 4, "stip": 8, "haf-svg": 8, "v3d-convlstm": 6}
TABLES = {"s-hr-vqvae": 3, "video-vqvae": 8, "stip": 8, "haf-svg": 0, "v3d-convlstm": 3}
DATASETS = {"moving-digits": "moving-mnist"}
"""What data is called here, where its type is called otherwise."""

OUT = Path("reproduced")
ALL = [(paper, entry) for paper in COLLECTIONS for entry in entries(paper)]
IDS = [f"{paper}-{entry.name}" for paper, entry in ALL]


@dataclass(frozen=True)
class Videos:
    """What `framecast data prepare` reads of its options."""

    data: RecordedConfig


def parts() -> Iterator[tuple[str, Entry, Part]]:
    """All parts."""
    for paper, entry in ALL:
        for part in entry.parts:
            yield paper, entry, part


def trainings() -> Iterator[tuple[Scale, Part, Training]]:
    """All trainings that some measure asks for."""
    for _, _, part in parts():
        for scale in SCALES:
            for line in part.lines if part.at(scale) else ():
                if found := line.at(scale):
                    yield scale, part, found


def steps(place: Place) -> Iterator[tuple[str, Entry, Step]]:
    """The commands of all entries at all scales."""
    for paper, entry in ALL:
        for scale in entry.scales:
            for step in plan(paper, entry, scale, place).steps:
                yield paper, entry, step


@cache
def experiment(preset: str) -> Experiment:
    """Of a preset."""
    return registry.find("presets", preset)()


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """Every command once."""
    folder = tmp_path_factory.mktemp("data")
    names = {name for _, entry in ALL for scale in SCALES for name in datasets(entry, scale)}
    roots = dict.fromkeys(names, folder)
    places = [Place(folder / "out", roots, video=video) for video in (None, folder / "video.mp4")]
    return list(dict.fromkeys(step for place in places for _, _, step in steps(place)))


@pytest.mark.parametrize("paper", PAPERS)
def test_every_table_and_figure_has_an_entry(paper: str) -> None:
    names = [entry.name for entry in entries(paper)]
    expected = [f"table{n + 1}" for n in range(TABLES[paper])]
    assert names == [*expected, *(f"figure{n + 1}" for n in range(FIGURES[paper]))]
    tables = {t.name for t in published.tables(paper) if t.name.startswith("table")}
    assert tables == set(expected)


@pytest.mark.parametrize(("paper", "entry"), ALL, ids=IDS)
def test_an_entry_can_be_had_or_says_why_not(paper: str, entry: Entry) -> None:
    assert bool(entry.parts) != bool(entry.missing)
    assert bool(entry.scales) != bool(entry.missing)
    if entry.missing:
        with pytest.raises(ConfigError, match="cannot be made again"):
            plan(paper, entry, "paper", Place(OUT))
    elif paper in PAPERS:
        assert "paper" in entry.scales


def test_methods_are_those_of_the_published_rows() -> None:
    """But for what a row adds in brackets that the part says already."""
    seen = 0
    for paper, entry, part in parts():
        if part.key is None:
            continue
        (table,) = (
            t for t in published.tables(paper) if (t.name, t.part) == (entry.name, part.key)
        )
        order = [row.method for row in table.rows]
        methods = [line.method for line in part.lines]
        bare = [row if row in methods else row.rpartition(" (")[0] for row in order]
        found = [method for method in bare if method in methods]
        if (paper, entry.name) == ("v3d-convlstm", "table2"):  # a picture, of which one is quoted
            assert found == methods[-1:]
            continue
        assert found == methods
        seen += len(methods)
        measures = [m for m in part.paper if isinstance(m, Measure)]
        assert [m.protocol for m in measures] == [table.protocol]
    assert seen > 60


def test_published_models_are_the_ones_that_are_trained() -> None:
    """Where a published row names a preset, its line trains that one, or one that includes it."""
    seen = 0
    for paper, entry, part in parts():
        rows = {
            row.method: row.model
            for t in sources.printed(paper, entry.name)
            if t.part == part.key
            for row in t.rows
        }
        for line in part.lines:
            model = rows.get(line.method)
            if model is None or "/" not in model:
                continue
            assert line.paper is not None
            through = {f"{model}-joint"} if line.paper.stage else set()
            assert line.paper.preset in {model} | through
            seen += 1
    assert seen > 60


def test_our_own_tables_have_all_models_and_one_budget() -> None:
    models = {preset.partition("/")[0] for preset in registry.names("presets")} - {"unit-stack"}
    for entry in entries("framecast")[:2]:
        assert not sources.printed("framecast", entry.name)
        for scale in entry.scales:
            (part,) = entry.parts
            trained = [training for line in part.lines if (training := line.at(scale))]
            assert {each.preset.partition("/")[0] for each in trained} == models
            assert len({each.changes[each.changes.index("--minutes") :] for each in trained}) == 1


@pytest.mark.parametrize("name", ["table1", "table2"])
def test_own_trainings_are_on_what_they_are_measured_on(name: str) -> None:
    """The same data in all, as large as it is predicted, and for no more frames.

    But for the model whose clips have sixteen frames, whatever is asked for.
    """
    (part,) = find("framecast", name).parts
    (measure,) = part.cpu
    assert isinstance(measure, Measure)
    _, found = evaluate._parse("copy-last", measure.protocol, list(measure.options))
    seen = []
    for line in part.lines:
        assert line.cpu is not None
        given = experiment(line.cpu.preset)
        trained = train._parse(None, given, OUT, list(line.cpu.changes)).experiment
        seen.append(to_json(trained.data))
        for field in ("variant", "size", "crop", "channels"):
            assert seen[-1].get(field) == to_json(found.data).get(field)
        most = max(sum(found.lengths()), 16 if "video-vqvae" in line.cpu.preset else 0)
        assert trained.context + trained.horizon <= most
    for field in ("digits", "flip", "stride", "most_windows"):
        assert len({each.get(field) for each in seen}) == 1


def test_names_tell_what_differs() -> None:
    for _, entry in ALL:
        assert len({part.title for part in entry.parts}) == len(entry.parts)
    for _, _, part in parts():
        for line in part.lines:
            assert bool(line.options) == bool(line.name)
            assert "=" not in line.method
        for scale in SCALES:
            for measure in part.at(scale):
                if isinstance(measure, Measure):
                    assert bool(measure.options) == bool(measure.name)
    for _, _, training in trainings():
        assert bool(training.changes) == bool(training.name)


def test_presets_protocols_and_stages_exist() -> None:
    known = set(registry.names("presets"))
    found = {(each.preset, each.stage) for _, _, each in trainings()}
    assert {preset for preset, _ in found} <= known
    for preset, stage in found:
        if stage is not None:
            assert stage in experiment(preset).stages
    protocols = {
        m.protocol
        for _, _, part in parts()
        for scale in SCALES
        for m in part.at(scale)
        if isinstance(m, Measure)
    }
    assert protocols <= set(registry.names("protocols"))


def test_models_are_trained_on_the_data_that_they_are_measured_on() -> None:
    """And the user is asked for that data exactly where it does not make itself."""
    for scale, part, training in trainings():
        found = experiment(training.preset)
        if any(word.startswith("--data") for word in training.changes):
            found = train.read([training.preset, *training.changes]).experiment
        trained = to_json(found.data)
        for measure in part.at(scale):
            expected = DATASETS.get(trained["type"], trained["type"])
            assert measure.data == (None if trained.get("digits") == "glyphs" else expected)
            if isinstance(measure, Measure):
                data = to_json(protocol(measure.protocol).data)
                assert data["type"] == trained["type"]
                for what in ("split", "persons"):  # no file that the paper tested on is trained on
                    assert data.get(what) == trained.get(what), (training, measure)
                assert (data.get("digits") == "glyphs") == (measure.data is None)
        assert (scale == "tiny") == (trained.get("digits") == "glyphs")


def test_one_run_has_one_command_and_so_has_one_folder_of_results(commands) -> None:
    made = [step.makes for step in commands if step.kind in ("train", "evaluate", "picture")]
    assert len(made) > 300
    assert len(set(made)) == len(made)


def test_results_go_into_the_comparison_under_names_that_hold_for_one_model() -> None:
    for paper, entry in ALL:
        for scale in entry.scales:
            found = plan(paper, entry, scale, Place(OUT)).steps
            evaluated = {str(s.makes): s.words[1] for s in found if s.kind == "evaluate"}
            compared = [s.words[1:-4] for s in found if s.kind == "compare"]
            assert len(compared) == bool(evaluated)
            named = [word.split("=", 1) for words in compared for word in words]
            assert [folder for _, folder in named] == list(evaluated)
            models: dict[str, set[str]] = {}
            for name, folder in named:
                models.setdefault(name, set()).add(evaluated[folder])
            assert all(len(each) == 1 for each in models.values())


def test_a_model_has_one_name_in_a_comparison() -> None:
    """Two names for one model are refused once all has been trained."""
    for paper, entry in ALL:
        for scale in entry.scales:
            found = plan(paper, entry, scale, Place(OUT)).steps
            models = {
                str(s.makes): (s.words[1], *(word for word in s.words if "=" in word))
                for s in found
                if s.kind == "evaluate"
            }
            for step in (s for s in found if s.kind == "compare"):
                names: dict[tuple[str, ...], set[str]] = {}
                for name, folder in (word.split("=", 1) for word in step.words[1:-4]):
                    names.setdefault(models[folder], set()).add(name)
                assert all(len(each) == 1 for each in names.values()), names


@pytest.mark.slow
def test_trainings_are_accepted(commands) -> None:
    """Every option exists and fits; a preset with the changes of its line is no contradiction."""
    count = 0
    for step in commands:
        if step.kind == "train":
            settings = train.read(step.words[1:])
            assert settings.resume
            assert settings.out == step.makes
            count += 1
    assert count > 100


def test_what_is_prepared_is_what_is_read() -> None:
    """Prepared videos are refused where other frames are asked for."""
    count = 0
    for scale, part, training in trainings():
        for measure in part.at(scale):
            if isinstance(measure, Measure) and measure.prepared:
                default = Videos(registry.find("data", measure.data)())
                words = list(measure.prepared)
                made = parse(Videos, "data prepare", words, settings=NESTED, default=default).data
                given = experiment(training.preset)
                trained = train._parse(None, given, OUT, list(training.changes)).experiment
                _, read = evaluate._parse("copy-last", measure.protocol, list(measure.options))
                assert trained.data.recipe() == read.data.recipe() == made.recipe()
                count += 1
    assert count == 10


def test_evaluations_are_accepted(commands) -> None:
    count = 0
    seen = set()
    for step in commands:
        if step.kind == "evaluate":
            model, option, name, *rest = step.words[1:]
            assert option == "--protocol"
            options = tuple(word for word in rest if word not in (str(step.makes), "--out"))
            if (name, options) in seen:
                continue
            seen.add((name, options))
            settings, _ = evaluate._parse(model, name, rest)
            assert settings.out == step.makes
            count += 1
    assert count > 40


def test_pictures_and_lists_are_accepted(commands) -> None:
    readers = {
        "inspect": inspect.Inspect,
        "predict": predict.Predict,
        "demo": demo.Demo,
        "models": models.Models,
    }
    verbs = set()
    for step in commands:
        verb, rest = step.words[0], list(step.words[1:])
        if step.kind in ("picture", "show") and verb != "train":
            options = parse(readers[verb], verb, rest)
            verbs.add(verb)
            if verb in ("inspect", "predict"):
                assert str(options.out) == str(step.makes)
    assert verbs == set(readers)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("table2", "table2"),
        ("Table 2", "table2"),
        ("2", "table2"),
        ("fig7", "figure7"),
        ("Fig. 7", "figure7"),
        ("figure-7", "figure7"),
    ],
)
def test_names_are_found_as_people_write_them(written: str, name: str) -> None:
    assert find("s-hr-vqvae", written).name == name


def test_unknown_names_are_answered() -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        find("s-hr-vqvae", "table4")
    with pytest.raises(ConfigError, match="there is no paper"):
        entries("vqvae-2")
