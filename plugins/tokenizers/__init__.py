"""Provide tokenizers: trained on a run's data, or loaded. Hugging Face's ``tokenizers`` does the work."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_tokenizers(register: Register) -> None:
    """Offer the builders by name; their modules load when one is used."""

    def offer(name: str, target: str, options: str, help: str, default: bool = False) -> None:
        model = f"{__name__}.options:{options}"
        register(name, f"{__name__}.{target}", options=model, help=help, default=default)

    offer(
        "pretrained",
        "pretrained:Pretrained",
        "PretrainedOptions",
        "a trained tokenizer: tokenizer.json, vocab.txt or DiffuSeq's vocab.json",
        default=True,
    )
    offer("words", "words:Words", "WordsOptions", "all words of the training data")
    offer("wordpiece", "words:WordPiece", "WordPieceOptions", "BERT's word pieces, trained on the data")
    offer("bpe", "subwords:Bpe", "SubwordOptions", "byte-pair encoding, trained on the data")
    offer("unigram", "subwords:Unigram", "SubwordOptions", "the unigram model, trained on the data")
    offer("characters", "characters:Characters", "CharactersOptions", "the characters of the training data")
