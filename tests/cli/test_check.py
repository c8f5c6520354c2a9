"""dlmone check and dlmone env."""

import json

from click.testing import CliRunner

from dlmone.cli import main
from dlmone.cli.commands.check import in_short, in_time


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
