"""dlmone plugins: what is listed, what is broken, and a skeleton that works."""

import json
from dataclasses import asdict

import pytest
from click.testing import CliRunner

from dlmone.cli import main
from dlmone.core import PairMetric, Sample
from dlmone.registry import Registry, load_recipe
from dlmone.registry.schema import EvaluatorSlot, ObjectiveSlot
from dlmone.testing import check_evaluator, check_objective

BROKEN = 'import dlmone.registry\nraise RuntimeError("no\\nluck")\n'


def plugins(*args):
    return CliRunner().invoke(main, ["plugins", *map(str, args)])


def test_list():
    result = plugins("list", "--json")
    assert result.exit_code == 0
    listed = json.loads(result.stdout)
    assert listed["broken"] == []
    offered = {(one["kind"], one["name"]): one for one in listed["offered"]}
    assert {("teachers", "diffuseq"), ("objectives", "sid"), ("samplers", "ddim"), ("data", "jsonl")} <= set(
        offered
    )
    assert offered["objectives", "sid"]["distribution"] == "dlmone"
    plain = plugins("list").stdout
    assert plugins().stdout == plain
    assert len(plain.splitlines()) == len(offered)
    assert all(one["help"] in plain for one in offered.values())


def test_a_broken_plugin_is_listed_with_its_reason_and_harms_nothing(tmp_path):
    path = tmp_path / "unlucky.py"
    path.write_text(BROKEN)
    result = plugins("list", "--plugin", path)
    assert result.exit_code == 0
    assert "RuntimeError: no luck" in result.stdout.split("broken:")[1]
    [broken] = json.loads(plugins("list", "--json", "--plugin", path).stdout)["broken"]
    assert (broken["name"], broken["reason"]) == ("unlucky", "RuntimeError: no luck")
    shown = plugins("show", "unlucky", "--plugin", path)
    assert shown.exit_code == 3
    assert "is broken: RuntimeError: no luck" in shown.stderr


def test_show_every_kind_under_a_name_with_its_options():
    result = plugins("show", "diffuseq")
    assert result.exit_code == 0
    assert "teachers  diffuseq: DiffuSeq" in result.stdout
    assert "converters  diffuseq: " in result.stdout
    assert "  seq_len: int = 128 (≥ 6, ≤ 65,536)" in result.stdout.splitlines()
    assert '  dataset: "qqp" = qqp' in plugins("show", "hub").stdout.splitlines()
    [facts] = json.loads(plugins("show", "ddim", "--json").stdout)
    start = {"name": "start", "type": "Time | None", "default": None, "required": False}
    assert start.items() <= next(one for one in facts["options"] if one["name"] == "start").items()


def test_show_an_unknown_name():
    result = plugins("show", "difuseq")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "error: no plugin offers 'difuseq'; did you mean 'diffuseq'?\n"


def test_a_new_plugin_works_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = plugins("new", "my_loss")
    assert (result.exit_code, result.stdout) == (0, "my_loss.py\n")
    registry = Registry.discover([tmp_path / "my_loss.py"])
    assert not registry.broken
    check_objective(registry.create("objectives", ObjectiveSlot(use="my_loss", scale=2.0)))
    overrides = ["stages.*.objectives.score.use=my_loss"]
    resolved = load_recipe("qqp", registry=registry, overrides=overrides)
    assert resolved.table["stages"]["stage-1"]["objectives"]["score"]["scale"] == 1.0


def test_a_new_metric_works_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = plugins("new", "my_score", "--kind", "evaluator")
    assert (result.exit_code, result.stdout) == (0, "my_score.py\n")
    registry = Registry.discover([tmp_path / "my_score.py"])
    assert not registry.broken
    metric = registry.create("evaluators", EvaluatorSlot(use="my_score", lowercase=False))
    samples = [
        Sample("0", "", "a b", ("a c", "")),
        Sample("1", "", "A b c", ("a b", "x")),
        Sample("2", "", "", ("",)),
    ]
    [score] = metric.evaluate(samples)
    assert score.per_sample == (1 / 2, 1 / 3, 1)
    check_evaluator(metric, samples)
    assert isinstance(metric, PairMetric)
    saved = tmp_path / "samples.jsonl"
    saved.write_text("".join(json.dumps(asdict(sample)) + "\n" for sample in samples[:2]))
    words = [
        "evaluate",
        saved,
        "--plugin",
        "my_score.py",
        "--metrics",
        "my_score",
        "--select",
        "mbr",
        "--utility",
    ]
    answer = CliRunner().invoke(main, [*map(str, words), "my_score"])
    assert answer.exit_code == 0, answer.stderr
    assert "my_score ↑" in answer.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my-loss", "is no name for a plugin"),
        ("class", "is no name for a plugin"),
        ("None", "is no name for a plugin"),
        ("a" * 5000, "is no name for a plugin"),
        ("mine", "mine.py is there already"),
        ("os", "is the name of a Python module or builtin"),
        ("torch", "is the name of a Python module or builtin"),
        ("list", "is the name of a Python module or builtin"),
        ("sid", "there is an objective 'sid' already"),
    ],
)
def test_no_new_plugin(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("")
    result = plugins("new", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert (tmp_path / "mine.py").read_text() == ""
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
