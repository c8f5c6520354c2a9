"""The shipped recipes under ``--profile paper`` are Table 5, cell by cell."""

import pytest

from dlmone.registry import Registry, load_recipe

# recipe, stage, μ, [t_min, t_max], t_init, (a_dsm^sg, b_adv^sg), (a_sd^g, b_adv^g), lr_ψ, lr_θ
TABLE_5 = [
    ("qqp", "stage-1", 1.2, (0, 1976), 1490, (0.5, 0.5), (0.5, 0.5), 3e-5, 1e-5),
    ("qqp", "stage-2", 0.5, (0, 1976), 1490, (0.5, 0.5), (0.9, 0.1), 1e-5, 1e-5),
    ("quasar_t", "stage-1", 1.2, (0, 1976), 1490, (0.5, 0.5), (0.5, 0.5), 1e-5, 1e-5),
    ("quasar_t", "stage-2", 1.2, (0, 1976), 1490, (0.5, 0.5), (0.5, 0.5), 1e-5, 1e-5),
    ("wiki_auto", "stage-1", 1.0, (0, 1976), 1490, (0.5, 0.5), (0.5, 0.5), 1e-5, 1e-5),
]
REGISTRY = Registry.discover()
PAPER = {name: load_recipe(name, registry=REGISTRY, profile="paper").recipe for name, *_ in TABLE_5}


@pytest.mark.parametrize("row", TABLE_5, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_row_of_table_5(row: tuple[object, ...]) -> None:
    recipe, name = PAPER[str(row[0])], str(row[1])
    stage = recipe.stages[name]
    score, adversarial = stage.objectives["score"], stage.objectives["adversarial"]
    assert row == (
        recipe.name,
        name,
        score.options["mu"],
        (stage.t_min.time, stage.t_max.time),
        stage.t_init.time,
        (score.estimator_weight, adversarial.estimator_weight),
        (score.generator_weight, adversarial.generator_weight),
        stage.estimator.lr,
        stage.generator.lr,
    )
    assert (score.use, adversarial.use, len(stage.objectives)) == ("sid", "diffusion_gan", 2)


def test_the_stages_are_those_of_table_5() -> None:
    assert {name: list(recipe.stages) for name, recipe in PAPER.items()} == {
        "qqp": ["stage-1", "stage-2"],
        "quasar_t": ["stage-1", "stage-2"],
        "wiki_auto": ["stage-1"],
    }


@pytest.mark.parametrize("name", PAPER)
def test_the_protocol_of_appendix_b(name: str) -> None:
    recipe = PAPER[name]
    for stage in recipe.stages.values():
        assert stage.steps == 50_000
        for optimizer in (stage.generator, stage.estimator):
            assert (optimizer.beta1, optimizer.beta2, optimizer.weight_decay) == (0.0, 0.999, 0.0)
        assert (stage.validation.every, stage.validation.metric) == (200, "bleu")
        assert stage.validation.examples is None  # the whole split: the best of 251 scores is taken
    starts = [stage.start for stage in recipe.stages.values()]
    assert starts == ["teacher", "previous"][: len(starts)]
    assert recipe.teacher.use == "diffuseq"
    assert recipe.teacher.path == f"models/diffuseq-{name.replace('_', '-')}"
    assert recipe.teacher.pretrain is None
    assert recipe.evaluation.teacher_steps == (2000,)
    assert recipe.evaluation.teacher_sampler.use == "diffuseq_ddpm"
    assert {"bleu", "rouge_l", "bertscore", "dist_1", "diversity"} <= recipe.evaluation.metrics.keys()


@pytest.mark.parametrize("name", PAPER)
def test_the_precision_is_sids(name: str) -> None:
    assert PAPER[name].compute.precision == "float32"
