"""The forms in which a date is written: ``7 march 2024``, ``the 7th of march 2024`` and so on."""

MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august"]
MONTHS += ["september", "october", "november", "december"]
YEARS = range(1970, 2030)
DAYS = range(1, 29)
FORMS = (
    "{day} {month} {year}",
    "{month} {day} {year}",
    "{ordinal} {month} {year}",
    "{month} {ordinal} {year}",
    "the {ordinal} of {month} {year}",
    "{month} the {ordinal} of {year}",
    "{day} {short} {year}",
    "{short} {day} {year}",
)


def written(date: str) -> list[str]:
    """Return all forms of a date, given as ``2024-03-07``."""
    year, month, day = map(int, date.split("-"))
    ending = {1: "st", 2: "nd", 3: "rd"}.get(0 if 11 <= day <= 13 else day % 10, "th")
    name = MONTHS[month - 1]
    parts = {"year": year, "month": name, "short": f"{name[:3]}.", "day": day, "ordinal": f"{day}{ending}"}
    return [form.format(**parts) for form in FORMS]
