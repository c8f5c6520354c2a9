"""Provide evaluators: DiffuSeq's metrics, and rates of degenerate outputs."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_evaluators(register: Register) -> None:
    """Offer the evaluators by name; their modules load when one is used."""

    def offer(name: str, target: str, help: str, options: str = "NoOptions", default: bool = True) -> None:
        model = f"{__name__}.options:{options}"
        register(name, f"{__name__}.{target}", options=model, help=help, default=default)

    offer("bleu", "bleu:BleuEvaluator", "mean sentence BLEU, as in DiffuSeq (nltk)", "BleuOptions")
    offer("rouge_l", "rouge:RougeLEvaluator", "mean ROUGE-L F1, as in DiffuSeq", "RougeLOptions")
    offer(
        "bertscore",
        "bertscore:BertScoreEvaluator",
        "BERTScore F1, as in DiffuSeq",
        "BertScoreOptions",
        default=False,  # downloads a model
    )
    offer("dist_1", "words:Dist1Evaluator", "distinct words / words of an output, as in DiffuSeq")
    offer("avg_len", "words:AvgLenEvaluator", "mean output length, as DiffuSeq counts it")
    offer(
        "diversity", "diversity:DiversityEvaluator", "self-BLEU and Div-4 of candidates", "DiversityOptions"
    )
    offer("copy_rate", "health:CopyRateEvaluator", "shares of outputs that repeat their source, or nearly")
    offer(
        "health",
        "health:HealthEvaluator",
        "empty, repetition and unknown rates, mean length in words",
        "HealthOptions",
    )
