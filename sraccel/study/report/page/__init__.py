"""The report of a study as a page: one HTML file that holds everything, and loads nothing.

Numbers become text and geometry here; the markup is in the templates, where everything is escaped.
What it shares with the page of a run (policy, styles, player) is in `sraccel.report.page`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.report.page.details import details
from sraccel.report.page.shell import Shell
from sraccel.report.words import metric
from sraccel.study.report.cells import metrics
from sraccel.study.report.harmless import harmless
from sraccel.study.report.headline import (
    design_facts,
    figures,
    notices,
    on_what,
    title,
    what_was_run,
)
from sraccel.study.report.page.matrix import loss_matrix, speed_matrix
from sraccel.study.report.page.pareto import plots
from sraccel.study.report.page.shares import loss_shares, speed_shares
from sraccel.study.report.page.showcases import takes
from sraccel.study.report.page.tables import (
    cell_table,
    combination_rows,
    effect_tables,
    order_rows,
    pair_rows,
)

if TYPE_CHECKING:
    from sraccel.study.results import StudyReport

STUDY = Shell(Path(__file__).parent, "study.html.jinja", ("study.css",), ("player.js", "study.js"))


def render_page(report: StudyReport, folder: Path) -> str:
    """The page's text.

    Args:
        report: of the study; parts that it lacks are left out, or called what they are.
        folder: where the videos of `report.showcases` are found; one that cannot be read is left
            out of the page, which says so.
    """
    data = json.loads(report.model_dump_json())  # NaN is null there
    report = harmless(report)
    names = metrics(report)
    return STUDY.render(
        data,
        kind="sraccel study",
        title=title(report),
        run=what_was_run(report),
        device=on_what(report),
        description=report.description,
        notices=notices(report),
        figures=figures(report, names),
        takes=takes(report, folder),
        cells=cell_table(report, names),
        metrics=[(name, metric(name).label) for name in names],
        plots=plots(report, names),
        takes_apart=report.design not in ("order", "sweep"),
        speed_matrix=speed_matrix(report),
        loss_matrices=[matrix for name in names if (matrix := loss_matrix(report, name))],
        pairs=pair_rows(report),
        combinations=combination_rows(report),
        speed_shares=speed_shares(report),
        loss_shares=[shares for name in names if (shares := loss_shares(report, name))],
        effects=effect_tables(report, names),
        orders=order_rows(report),
        design=list(design_facts(report)),
        prompts=report.prompts,
        details=details(report),
    )
