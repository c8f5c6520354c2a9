"""List the words that fill the grammar's slots, one tuple per slot.

Each filler is one word and fits each form of each intent that uses its list, so that every combination is
a grammatical question. Three rules keep it so: nouns after an article are singular, subjects of "do" are
plural, and no filler starts with a vowel letter that sounds like a consonant or a silent h ("university",
"hour"), so that the first letter alone decides between "a" and "an".
"""


def _fillers(text: str) -> tuple[str, ...]:
    return tuple(filler.strip() for filler in text.split(","))


QUALITIES = _fillers(
    """
    good, great, better, successful, professional, famous, skilled, respected, excellent, independent,
    experienced, ambitious
    """
)

JOBS = _fillers(
    """
    geologist, teacher, doctor, lawyer, nurse, engineer, writer, singer, actor, dancer, painter, chef,
    pilot, dentist, architect, journalist, photographer, programmer, economist, editor, farmer,
    translator, athlete, psychologist, astronaut, electrician, musician, detective
    """
)

IDEAS = _fillers(
    """
    energy, balance, pressure, stress, tension, power, conflict, trust, risk, harmony, order, chaos,
    memory, freedom, justice, truth, beauty, growth, culture, intelligence, wisdom, progress,
    uncertainty, knowledge, equality, responsibility
    """
)

FIELDS = _fillers(
    """
    physics, biology, economics, psychology, philosophy, politics, music, art, finance, medicine, law,
    history
    """
)

FEELINGS = _fillers(
    """
    love, happiness, pride, fear, anger, envy, hope, faith, courage, ambition, kindness, patience,
    loyalty, curiosity, empathy, joy
    """
)

ITEMS = _fillers(
    """
    laptop, phone, camera, car, bicycle, house, haircut, wedding, visa, sofa, piano, sandwich, pizza,
    horse, apartment, umbrella, office, oven, guitar, ticket, lamp, carpet
    """
)

PLACES = _fillers(
    """
    india, china, japan, france, germany, italy, spain, canada, mexico, brazil, egypt, australia,
    singapore, london, paris, tokyo, dubai, berlin
    """
)

PRODUCTS = _fillers(
    """
    laptop, phone, camera, tablet, car, bicycle, mattress, keyboard, backpack, printer, watch, chair,
    desk, diet, hobby, sport, newspaper, bag, game, jacket
    """
)

GROUPS = _fillers(
    """
    students, children, teenagers, tourists, engineers, teachers, doctors, parents, artists, athletes,
    musicians, lawyers, scientists, journalists, nurses, farmers, dentists, voters
    """
)

ANIMALS = _fillers(
    """
    cats, dogs, birds, horses, cows, goats, sheep, rabbits, mice, monkeys, bears, wolves, foxes, lions,
    tigers, pigs, elephants, ducks, squirrels
    """
)

ACTIONS = _fillers(
    """
    sleep, swim, dance, sing, fight, hide, jump, dig, run, play, climb, bite, scream, travel, hunt,
    wander
    """
)

MONTHS = _fillers(
    """
    january, february, march, april, may, june, july, august, september, october, november, december
    """
)

ISSUES = _fillers(
    """
    religion, marriage, war, money, education, technology, football, fashion, politics, advertising,
    tourism, television, yoga, gambling, poverty, science, tax
    """
)
