"""The words that fill the grammar's slots: original lists, one tuple a slot.

Each filler fits each form of each intent that uses its list, so that every combination is a grammatical
question. Three rules keep it so: nouns after an article are singular, subjects of "do" are plural, and no
filler starts with a vowel letter that sounds like a consonant or a silent h ("university", "hour"), so that
the first letter alone decides between "a" and "an".
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
    translator, athlete, psychologist, astronaut, electrician, musician, detective, software engineer,
    data scientist, web designer, film director, police officer, flight attendant
    """
)

SKILLS = _fillers(
    """
    spanish, french, german, italian, japanese, chinese, arabic, russian, english, guitar, piano,
    violin, chess, swimming, cooking, drawing, painting, photography, singing, dancing, yoga, physics,
    chemistry, biology, algebra, statistics, economics, history, accounting, programming,
    machine learning, public speaking, web design, sign language
    """
)

MANNERS = _fillers(
    """
    alone, at home, at night, after work, on weekends, on a budget, without help, without money,
    without experience, as a beginner, with a friend, in the evening
    """
)

IDEAS = _fillers(
    """
    energy, balance, pressure, stress, tension, power, conflict, trust, risk, harmony, order, chaos,
    memory, freedom, justice, truth, beauty, growth, culture, intelligence, wisdom, progress,
    uncertainty, knowledge, equality, responsibility, free will, common sense, hard work
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
    loyalty, curiosity, empathy, peace of mind
    """
)

ITEMS = _fillers(
    """
    laptop, phone, camera, car, bicycle, house, haircut, wedding, visa, sofa, piano, sandwich, pizza,
    horse, apartment, umbrella, office, oven, hotel room, bus ticket, plane ticket, cup of coffee,
    bottle of wine, engagement ring, electric car, eye test
    """
)

PLACES = _fillers(
    """
    india, china, japan, france, germany, italy, spain, canada, mexico, brazil, egypt, australia,
    singapore, london, paris, tokyo, dubai, berlin, new york, south korea
    """
)

PRODUCTS = _fillers(
    """
    laptop, phone, camera, tablet, car, bicycle, mattress, keyboard, backpack, printer, watch, chair,
    desk, diet, hobby, sport, newspaper, credit card, web browser, search engine, board game,
    video game, text editor
    """
)

GROUPS = _fillers(
    """
    students, children, teenagers, tourists, engineers, teachers, doctors, parents, artists, athletes,
    musicians, lawyers, scientists, journalists, nurses, old people, young adults, business owners
    """
)

ANIMALS = _fillers(
    """
    cats, dogs, birds, horses, cows, goats, sheep, rabbits, mice, monkeys, bears, wolves, foxes,
    lions, tigers, pigs, elephants, ducks, squirrels
    """
)

ACTIONS = _fillers(
    """
    sleep so much, hate water, eat grass, run in circles, stare at people, make noise at night,
    fear fire, hide food, follow people, live in groups, fight each other, move so fast, jump so high,
    avoid sunlight, like music, dig holes, get sick, need company
    """
)

TASKS = _fillers(
    """
    read a novel, write a book, write a poem, paint a house, build a robot, design a website,
    bake bread, lose weight, plan a wedding, repair a bicycle, train a dog, sew a dress, build muscle,
    make cheese, make a movie, clean a house, start a business, record a song, prepare for exams,
    develop an app, plant a garden, cook dinner, solve a puzzle
    """
)

VICES = _fillers(
    """
    smoking, drinking, worrying, lying, crying, gambling, complaining, overthinking, overeating,
    daydreaming, swearing, shouting, wasting time, eating sugar, playing games, watching television,
    biting nails, spending money, feeling lonely, losing focus
    """
)

MOMENTS = _fillers(
    """
    at night, at work, at school, at home, at parties, in public, in class, in the evening,
    during exams, after lunch, after midnight, before bed, on weekends, every day
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
    tourism, television, yoga, climate change, social media, space travel, artificial intelligence,
    nuclear power, online dating, fast food
    """
)
