"""The paper's tables beside a run's: of its own tasks alone, and as it prints them."""

import re

from dlmone.report.paper import paper
from dlmone.report.reading import read_runs

from .runs import Reader, make_run


def test_the_papers_figures_stand_beside_its_own_tasks_alone(page, tmp_path):
    assert "paper" not in Reader(page).ids
    run = make_run(tmp_path / "real", stages=1)
    recipe = run / "recipe.toml"
    real = re.sub(
        r'\[data\]\nuse = "questions"[^\[]*',
        '[data]\nuse = "jsonl"\npath = "data/QQP"\n\n',
        recipe.read_text(),
    )
    recipe.write_text(real)
    table, times = paper().tables(read_runs([run]))
    rows = [[cell.text for cell in row] for row in table.rows]
    assert ["DLM-One, 1 call", "Table 1", "0.1788", "0.5265", "0.7851", "0.9671", "0.3418", "0.6256"] in rows
    assert rows[-1][0] == "student stage-1, 4 calls"
    assert [cell.text for cell in times.rows[0]][1:] == ["0.03", "0.51", "2.25", "5.20", "7.70", "14.94"]


def test_the_papers_table_3_agrees_with_its_own_last_row():
    rows = paper().content["tasks"]["qqp"]["rows"]
    first, second = (row["values"] for row in rows if row["table"] == 3)
    changes = [round(100 * (new / old - 1), 1) for old, new in zip(first, second, strict=True)]
    assert changes == [21.8, 9.0, 6.1, 3.2, 55.7, -19.4]
