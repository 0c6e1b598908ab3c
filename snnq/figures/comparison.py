"""Any runs side by side: a table for people, which filters, and their curves in one figure."""

import os
from collections.abc import Iterable
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from snnq.figures.colors import looks
from snnq.figures.style import WIDTH, set_style
from snnq.study.side_by_side import SideBySide, side_by_side, word

MOST_NAMES = 24  # in a legend
MOST_LINES = 40  # of single runs
# Shows the rows that have every word; a number has to be a whole cell. The browser does it, so that
# it works in a stored notebook too.
FILTER = """\
const words = this.value.toLowerCase().split(/\\s+/).filter(Boolean);
for (const row of this.parentElement.querySelectorAll('tbody tr')) {
  const cells = [...row.cells].map(cell => cell.textContent.trim().toLowerCase());
  row.hidden = !words.every(word => cells.some(
    cell => isNaN(word) ? cell.includes(word) : cell === word));
}"""
HINT = "filter: words and numbers, such as binary 4"


class Comparison(SideBySide):
    """Runs side by side, see `compare`: a table where it is shown, and `curves` to draw.

    Attributes
    ----------
    table, histories
        See `snnq.study.side_by_side.SideBySide`.
    """

    def query(self, condition: str) -> "Comparison":
        """Those of the runs for which a condition on the table holds, as pandas has it: "channels > 4
        and levels == 'binary'". None, where it holds for none: a table without rows."""
        table = self.table.query(condition)
        alike = [name for name in self.settings if table[name].map(word).nunique() == 1]
        table = table.drop(columns=alike if len(table) > 1 else [])
        return Comparison(table, self.histories[self.histories["name"].isin(table.index)])

    def curves(self) -> Figure:
        """Test accuracy with hard weights and loss in training by epoch, a column of panels for each
        recordings; a line for each run, alike for those that differ in seed and order alone, or of
        more than 40 runs the mean and the range of those. Level sets have the colours that they have
        in every figure, and what else differs is in the dashes.

        Raises
        ------
        ValueError
            There is no run, since none fulfils the condition of `query`.
        """
        if self.table.empty:
            raise ValueError("no run to draw: none fulfils the condition of `query`")
        set_style()
        rows = self.histories.assign(accuracy=100 * self.histories["test_accuracy"])
        recordings = rows["recordings"].unique()
        look = _look(rows)
        count = len(look["hue_order"]) + len(look.get("style_order", ()))
        size = 2 * WIDTH, 1.5 * WIDTH + 0.15 * min(count, MOST_NAMES) / 2
        figure, axes = plt.subplots(
            2, len(recordings), figsize=size, layout="constrained", sharex="col", squeeze=False
        )
        for column, name in zip(axes.T, recordings):
            of_these = rows[rows["recordings"] == name]
            for axis, quantity in zip(column, ("accuracy", "loss")):
                sns.lineplot(of_these, x="epoch", y=quantity, **look, linewidth=1, ax=axis)
                entries = dict(zip(*axis.get_legend_handles_labels()[::-1]))
                axis.get_legend().remove()
                axis.set_ylabel("")
            column[0].set_title(name)
            column[1].xaxis.get_major_locator().set_params(integer=True)
        axes[0, 0].set_ylabel("test accuracy (%)")
        axes[1, 0].set_ylabel("training loss")
        for title in ("levels", "others"):
            entries.pop(title, None)
        if 1 < len(entries) <= MOST_NAMES:
            names = {"loc": "outside lower left", "ncols": 2, "fontsize": "x-small"}
            figure.legend(entries.values(), entries, **names)
        return figure

    def __repr__(self) -> str:
        return self.words().to_string(index=False)

    def _repr_html_(self) -> str:
        styled = self.words().style.hide().format(escape="html").set_uuid("compare")
        box = f'<input type="search" size="60" placeholder="{HINT}" oninput="{escape(FILTER)}">'
        return f"<div>{box}\n{styled.to_html()}</div>"


def _look(rows: pd.DataFrame) -> dict:
    """Colours and dashes of the lines, as seaborn takes them."""
    several = rows["name"].nunique() > MOST_LINES
    each = {"errorbar": ("pi", 100)} if several else {"units": "name", "estimator": None}
    if rows["levels"].nunique() == 1:
        kinds = rows["kind"].unique()
        colors = sns.color_palette("colorblind" if len(kinds) <= 10 else "husl", len(kinds))
        return each | {"hue": "kind", "hue_order": kinds, "palette": colors}
    colors = {name: look["color"] for name, look in looks(rows["levels"]).items()}
    each |= {"hue": "levels", "hue_order": list(colors), "palette": colors}
    others = rows["others"].unique()
    return each | ({"style": "others", "style_order": others} if len(others) > 1 else {})


def compare(runs: str | Path | Iterable[str | Path]) -> Comparison:
    """Any finished runs side by side: the settings that differ, accuracies, bytes, and curves.

    Parameters
    ----------
    runs : path, or paths
        Each the folder of a run, of `snnq.fit` or of `snnq.train`; a folder of such folders; or that
        of a study, for the runs of its table.

    Returns
    -------
    Comparison
        In a notebook a table with a filter; `curves()` draws how the runs went, `query(condition)`
        takes some of them, and `table` is the DataFrame.

    Raises
    ------
    FileNotFoundError
        There is no finished run at one of these places.
    """
    found = side_by_side([runs] if isinstance(runs, str | os.PathLike) else runs)
    return Comparison(found.table, found.histories)
