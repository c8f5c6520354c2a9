"""Provide the family ``standard``: metrics common in the literature around DiffuSeq, by their libraries."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_evaluators(register: Register) -> None:
    """Offer the evaluators by name; their modules load when one is used."""

    def offer(name: str, target: str, options: str, help: str, fallback: bool = False) -> None:
        model = f"{__name__}.options:{options}"
        register(name, f"{__name__}.{target}", options=model, help=help, fallback=fallback)

    offer("sacrebleu", "sacre:SacreBleuEvaluator", "SacreBleuOptions", "corpus BLEU (sacreBLEU)")
    offer("chrf", "sacre:ChrfEvaluator", "ChrfOptions", "corpus chrF or chrF++ (sacreBLEU)", fallback=True)
    offer("ter", "sacre:TerEvaluator", "TerOptions", "corpus translation edit rate (sacreBLEU)")
    offer("ibleu", "ibleu:IBleuEvaluator", "IBleuOptions", "paraphrase: BLEU less the BLEU with the source")
    offer("sari", "sari:SariEvaluator", "SariOptions", "simplification: mean SARI, as in evaluate")
    offer("corpus_sari", "sari:CorpusSariEvaluator", "SariOptions", "simplification: SARI, as in EASSE")
    offer("rouge", "rouge:RougeEvaluator", "RougeOptions", "mean ROUGE-1, ROUGE-2 and ROUGE-L F1")
    offer("distinct", "distinct:DistinctEvaluator", "DistinctOptions", "Distinct-n of a corpus or an output")
    offer("div_n", "distinct:DivNEvaluator", "DivNOptions", "Distinct-n of the candidates for one source")
    offer(
        "symmetric_self_bleu",
        "self_bleu:SymmetricSelfBleuEvaluator",
        "SelfBleuOptions",
        "BLEU of each candidate against all others, as in Texygen",
    )
