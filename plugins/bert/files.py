"""Read the files of tokenizers: ``tokenizer.json``, ``vocab.txt`` and DiffuSeq's ``vocab.json``."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from dlmone.core import InputError

from .folders import PACKAGE, model_folder, read_object

#: The files that hold a whole tokenizer, the first that is there.
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json")
#: Tokens with a meaning in BERT's vocabularies.
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: The first tokens of a vocabulary that DiffuSeq made itself, by id.
DIFFUSEQ = ("[START]", "[END]", "[UNK]", "[PAD]")


def load_backend(name: str) -> tuple[Path, tokenizers.Tokenizer]:
    """Read a tokenizer of any kind; return its file too.

    Args:
        name: a file of `TOKENIZER_FILES`' kinds, or a folder, ``package:NAME`` or repository of the hub with
            one.

    Raises:
        InputError: there is no such folder, it holds none of the files, or one that cannot be read.
    """
    path = Path(name).expanduser()
    if not (path.is_file() and not name.startswith(PACKAGE)):
        folder = model_folder(name, (*TOKENIZER_FILES, "tokenizer_config.json"), "tokenizer")
        found = [folder / file for file in TOKENIZER_FILES if (folder / file).is_file()]
        if not found:
            raise InputError(f"tokenizer {name!r}: {folder} holds neither {' nor '.join(TOKENIZER_FILES)}")
        path = found[0]
    read: Callable[[str], tokenizers.Tokenizer]
    if path.suffix == ".txt":
        read = partial(read_vocabulary, lowercase=is_uncased(path.parent))
    else:
        read = tokenizers.Tokenizer.from_file if "model" in read_object(path) else read_dictionary
    try:
        backend = read(str(path))
    except InputError:
        raise
    except Exception as error:  # the library raises nothing more specific
        raise InputError(f"{path} is no tokenizer: {error}") from None
    unknown = getattr(backend.model, "unk_token", None)
    if unknown and backend.model.token_to_id(unknown) is None:  # found at the first unknown word, otherwise
        raise InputError(f"{path} is no tokenizer: its vocabulary has no {unknown}")
    return path, backend


def read_vocabulary(path: str, lowercase: bool) -> tokenizers.Tokenizer:
    """Return BERT's tokenizer with the vocabulary of a ``vocab.txt``, a token a line.

    Raises:
        InputError: a token has two lines, or none.
    """
    tokens = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    lines: dict[str, int] = {}
    for number, token in enumerate(map(str.rstrip, tokens), start=1):
        if (other := lines.setdefault(token, number)) != number:
            raise InputError(f"{path}, line {number}: the token {token!r} is that of line {other} already")
    vocabulary = {token: number - 1 for token, number in lines.items()}
    return bert_pipeline(models.WordPiece(vocabulary, unk_token="[UNK]"), lowercase)


def read_dictionary(path: str) -> tokenizers.Tokenizer:
    """Return DiffuSeq's tokenizer of a ``vocab.json``: text is split at spaces, a token each.

    Raises:
        InputError: it is no such dictionary.
    """
    vocabulary = read_object(Path(path))
    if [vocabulary.get(token) for token in DIFFUSEQ] != [0, 1, 2, 3]:
        raise InputError(
            f"{path} is neither a tokenizer.json nor a vocabulary of DiffuSeq's, in which "
            f"{', '.join(DIFFUSEQ)} have the ids 0 to 3"
        )
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # The pieces of a BPE dictionary are joined again.
    backend.decoder = decoders.Sequence(
        [decoders.WordPiece(cleanup=False), decoders.Fuse(), decoders.Replace("@@ ", "")]
    )
    backend.add_special_tokens([*DIFFUSEQ])
    return backend


def bert_pipeline(model: models.Model, lowercase: bool = True) -> tokenizers.Tokenizer:
    """Return a tokenizer around ``model`` that cleans and splits text as BERT's does."""
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if isinstance(model, models.WordPiece):
        backend.decoder = decoders.WordPiece()
    # A marker is one token wherever a text spells it out.
    backend.add_special_tokens([token for token in SPECIAL if backend.token_to_id(token) is not None])
    return backend


def is_uncased(folder: Path) -> bool:
    """Return whether the tokenizer in a folder lower-cases; BERT's does where nothing is said."""
    config = folder / "tokenizer_config.json"
    return not config.is_file() or bool(read_object(config).get("do_lower_case", True))
