"""dlmone check and dlmone env."""

import json
import re

from click.testing import CliRunner

from dlmone.cli import main
from dlmone.training.estimation.survey import in_short, in_time


def check(tmp_path, monkeypatch, *args):
    monkeypatch.chdir(tmp_path)
    return CliRunner().invoke(main, ["check", *args])


def test_the_papers_setting_with_nothing_at_hand(tmp_path, monkeypatch):
    result = check(tmp_path, monkeypatch, "qqp", "--profile", "paper", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "91.2M parameters each (91,225,274 = network 87,287,936 + shared space 3,937,338)" in result.stdout
    assert "50,000 steps of batch 256: score (sid), adversarial (diffusion_gan)" in result.stdout
    assert "The teacher models/diffuseq-qqp does not exist" in result.stdout
    assert "The data folder data/QQP does not exist" in result.stdout
    assert "estimate" in result.stdout
    assert result.stderr.startswith("qqp, profile paper: The paper's setting")
    assert not list(tmp_path.iterdir())


def test_sharded_networks_are_said_to_be_shared_out(tmp_path, monkeypatch):
    args = ("qqp", "--profile", "paper", "--device", "cpu")
    alone, shared = (
        check(tmp_path, monkeypatch, *args, *more) for more in ((), ("--set", "compute.shard=true"))
    )
    assert shared.exit_code == 0, shared.output
    (memory,) = re.findall(r"memory +(about \S+ GiB)\n", alone.stdout)
    assert f"{memory}, which the processes of torchrun share out" in " ".join(shared.stdout.split())


def test_a_teacher_whose_size_its_data_decide(tmp_path, monkeypatch):
    args = ["qqp", "--set", "data.train=500", "--set", "teacher.width=32", "--device", "cpu"]
    monkeypatch.setattr("os.getloadavg", lambda: (999.0, 1.0, 1.0))
    result = check(tmp_path, monkeypatch, *args)
    assert result.exit_code == 0, result.output
    assert "the machine is busy (999 processes want its " in result.stdout
    assert "questions: 500 train, 200 valid, 500 test" in result.stdout
    assert "not ready" not in result.stdout
    assert {"memory", "teacher", "stage-1", "stage-2", "evaluation", "total"} <= set(result.stdout.split())
    dry = CliRunner().invoke(main, ["run", "--dry-run", *args])
    same = slice(result.stdout.index("\n\n"))
    assert dry.stdout[same] == result.stdout[same]
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_here_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = check(tmp_path, monkeypatch, "qqp", "--profile", "paper", "--device", "cuda")
    assert result.exit_code == 0
    assert "no CUDA device is available here" in result.stdout
    assert "estimate" not in result.stdout


def test_a_folder_that_is_no_teacher_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "models" / "diffuseq-qqp").mkdir(parents=True)
    result = check(tmp_path, monkeypatch, "qqp", "--profile", "paper")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "not a dlmone model folder" in result.stderr


CHINESE = """
name = "tiny"
stages = {}

[data]
use = "files"
path = "data"

[teacher]
use = "diffuseq"
seq_len = 20
hidden_dim = 8
hidden_t_dim = 8
width = 16
layers = 1
heads = 2
tokenizer = { use = "words", min_count = 2 }
pretrain = { steps = 1, batch = 4, optimizer = { lr = 1e-3 }, validation = { examples = 2 } }

[evaluation]
candidates = 2
teacher_steps = [1]
teacher_sampler = { use = "ddim" }
metrics = { bleu = { use = "bleu" }, health = { use = "health" } }
"""


def test_what_the_data_call_for_is_said(tmp_path, monkeypatch):
    """Cut rows, unknown tokens, metrics that don't see Chinese and what does; the same in a run's log."""
    (tmp_path / "data").mkdir()
    for split, odd in (("train", "?"), ("valid", "丁"), ("test", "丁")):
        rows = [("丽江在哪", "丽江是哪个省"), ("丽江在哪", "丽江是哪个省" * 3), (f"丽江在{odd}", "丽江")] * 2
        lines = [json.dumps({"source": a, "target": b}, ensure_ascii=False) for a, b in rows]
        (tmp_path / "data" / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "tiny.toml").write_text(CHINESE)
    result = check(tmp_path, monkeypatch, "tiny.toml", "--device", "cpu")
    assert result.exit_code == 0, result.output
    notes = result.stdout.partition("note ")[2]
    assert "train data: 2 targets of 6 examples are too long and cut, by " in notes
    assert re.search(r"valid data: \d\.\d\d% of the tokens are unknown to the vocabulary", notes)
    reason = "each splits words at white space, and 100% of the letters belong to scripts without spaces"
    assert f"bleu, health may not mean what they say: {reason}" in notes
    for flag in ("chrf.use=chrf", "bleu.tokenize=unicode", "health.tokenize=unicode"):
        assert f"--set evaluation.metrics.{flag}\n" in notes
    flags = ["--set", "evaluation.metrics.chrf.use=chrf"]
    for name in ("bleu", "health"):
        flags += ["--set", f"evaluation.metrics.{name}.tokenize=unicode"]
    assert "may not mean" not in check(tmp_path, monkeypatch, "tiny.toml", *flags).stdout
    monkeypatch.setenv("DLMONE_CACHE", str(tmp_path / "cache"))
    run = CliRunner().invoke(main, ["run", "tiny.toml", "--run-dir", "run", "--device", "cpu", "--no-report"])
    assert run.exit_code == 0, run.output
    assert "training data: 2 targets of 6 examples are too long and cut" in run.stderr
    assert "test data: 2 targets of 6 examples are too long and cut" in run.stderr + run.stdout
    assert f"warning: bleu, health may not mean what they say: {reason}" in run.stderr


def test_formats():
    assert [in_short(n) for n in (950, 43_885, 91_225_274, 7 * 10**9)] == ["950", "43.9k", "91.2M", "7.0B"]
    assert in_time(50) == "about 50 seconds"
    assert in_time(600) == "about 10 minutes"
    assert in_time(86_400) == "about 24 hours"
    assert in_time(10**8) == "about 1,157 days"


def test_env():
    result = CliRunner().invoke(main, ["env", "--json"])
    facts = json.loads(result.stdout)
    assert {"python", "dlmone", "torch", "device", "cores", "bfloat16", "cache"} <= set(facts)
    assert all(name in CliRunner().invoke(main, ["env"]).stdout for name in facts)
