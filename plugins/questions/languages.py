"""The grammar's other languages: French, with its accents, and Chinese, without spaces between words.

Small ones, to try tokenisers and metrics on. As in English, each intent is one meaning in several forms that
use every slot once, and every combination of fillers is a grammatical question.
"""

from typing import Literal

from .intents import INTENTS, Intent

Language = Literal["en", "fr", "zh"]


def _fillers(text: str) -> tuple[str, ...]:
    return tuple(filler.strip() for filler in text.split(","))


FRENCH_IDEAS = _fillers(
    """
    l'énergie, l'équilibre, la liberté, la densité, l'égalité, le progrès, la mémoire, la vérité,
    l'évolution, la gravité, la symétrie, le modèle
    """
)
#: Feminine, so that "en" goes before each.
FRENCH_FIELDS = _fillers(
    "physique, économie, psychologie, géométrie, chimie, médecine, poésie, géographie, théologie, biologie"
)
FRENCH_ITEMS = _fillers(
    """
    un vélo, une théière, un canapé, une bicyclette, un téléphone, une caméra, un réfrigérateur, un dîner,
    une crêpe, une guitare, un gâteau, une fenêtre
    """
)
FRENCH_CITIES = _fillers(
    "besançon, orléans, nîmes, sète, montréal, québec, genève, liège, paris, lyon, béziers, saint-étienne"
)
FRENCH_JOBS = _fillers(
    """
    ingénieur, médecin, infirmière, mécanicien, pâtissière, écrivain, géologue, vétérinaire, électricien,
    comédienne, bûcheron, secrétaire
    """
)
FRENCH_COUNTRIES = _fillers(
    "france, belgique, suède, norvège, grèce, algérie, géorgie, égypte, corée, hongrie, nouvelle-zélande"
)

FRENCH = (
    Intent(
        "sens",
        {"idée": FRENCH_IDEAS, "domaine": FRENCH_FIELDS},
        (
            "que signifie {idée} en {domaine} ?",
            "en {domaine} , qu'est-ce que {idée} ?",
            "qu'entend-on par {idée} en {domaine} ?",
            "peut-on définir {idée} en {domaine} ?",
        ),
    ),
    Intent(
        "prix",
        {"objet": FRENCH_ITEMS, "ville": FRENCH_CITIES},
        (
            "combien coûte {objet} à {ville} ?",
            "à quel prix trouve-t-on {objet} à {ville} ?",
            "à {ville} , combien faut-il payer pour {objet} ?",
            "quel budget prévoir pour {objet} à {ville} ?",
        ),
    ),
    Intent(
        "métier",
        {"métier": FRENCH_JOBS, "pays": FRENCH_COUNTRIES},
        (
            "comment devient-on {métier} en {pays} ?",
            "quelles études faut-il pour être {métier} en {pays} ?",
            "je rêve d'être {métier} en {pays} , que faire ?",
            "en {pays} , par où commencer pour devenir {métier} ?",
        ),
    ),
)

CHINESE_IDEAS = _fillers("能量, 平衡, 压力, 自由, 正义, 秩序, 记忆, 风险, 信任, 进化, 对称, 价值")
CHINESE_FIELDS = _fillers("物理学, 经济学, 心理学, 哲学, 数学, 生物学, 历史学, 法学, 医学, 文学")
CHINESE_ITEMS = _fillers("自行车, 电视机, 手机, 钢琴, 沙发, 冰箱, 照相机, 雨伞, 茶壶, 吉他, 耳机, 手表")
CHINESE_CITIES = _fillers("北京, 上海, 丽江, 成都, 西安, 杭州, 昆明, 广州, 南京, 重庆, 青岛, 苏州")
CHINESE_MONTHS = _fillers("一月, 二月, 三月, 四月, 五月, 六月, 七月, 八月, 九月, 十月, 十一月, 十二月")

CHINESE = (
    Intent(
        "意思",
        {"idea": CHINESE_IDEAS, "field": CHINESE_FIELDS},
        (
            "{field}里的{idea}是什么意思？",
            "在{field}中，什么是{idea}？",
            "{idea}在{field}里怎么解释？",
            "谁能说明一下{field}中的{idea}？",
        ),
    ),
    Intent(
        "价格",
        {"item": CHINESE_ITEMS, "place": CHINESE_CITIES},
        (
            "在{place}买{item}要多少钱？",
            "{place}的{item}卖多少钱？",
            "{item}在{place}的价格是多少？",
            "想在{place}买{item}，得花多少钱？",
        ),
    ),
    Intent(
        "旅游",
        {"month": CHINESE_MONTHS, "place": CHINESE_CITIES},
        (
            "{month}去{place}有什么好玩的？",
            "在{place}，{month}适合去哪里玩？",
            "{month}的{place}有哪些值得看的地方？",
            "打算{month}到{place}旅游，去哪些地方好？",
        ),
    ),
)

LANGUAGES: dict[Language, tuple[Intent, ...]] = {"en": INTENTS, "fr": FRENCH, "zh": CHINESE}
