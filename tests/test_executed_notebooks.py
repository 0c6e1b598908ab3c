"""The numbers in the reference's executed notebooks are those of its tables."""

import re

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from conftest import PROJECT

import snnq

QUICK = PROJECT / "results/reference/quick"


def html_of(name: str) -> list[str]:
    """What a notebook's cells show as HTML."""
    notebook = nbformat.read(QUICK / f"notebooks/{name}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [output.get("data", {}).get("text/html", "") for cell in cells for output in cell.outputs]
    return [html for html in shown if "<table" in html]


def tables_with(shown: list[str], *columns: str) -> pd.DataFrame:
    """All tables with these columns, one below the other, in words; their first header row has the
    names of all columns that have cells, and what is to the left of those is named by its place."""
    found = []
    for html in shown:
        table = BeautifulSoup(html, "html.parser").table
        names = [cell.text.strip() for cell in table.thead.tr.find_all("th")]
        if set(columns) <= set(names):
            rows = pd.DataFrame(_filled(table.tbody))
            ours = [name if name and name != "rate" else place for place, name in enumerate(names)]
            found.append(rows.set_axis(ours, axis=1))
    return pd.concat(found, ignore_index=True)


def _filled(body) -> list[list[str]]:
    """The words of a table's cells; those that reach over several rows stand in each."""
    rows, reaching = [], {}
    for row in body.find_all("tr"):
        cells, words = row.find_all(["th", "td"]), []
        while cells or len(words) in reaching:
            if (place := len(words)) in reaching:
                word, left = reaching.pop(place)
            else:
                cell = cells.pop(0)
                word, left = cell.text.strip(), int(cell.get("rowspan", 1))
            words.append(word)
            if left > 1:
                reaching[place] = word, left - 1
        rows.append(words)
    return rows


def spread(mean: float, sd: float, form: str = ".2f") -> str:
    return f"{mean:{form}} ± {sd:{form}}" if sd == sd else f"{mean:{form}}"


def results_agree(shown: list[str]) -> None:
    rows, table = tables_with(shown, "last", "best", "kB"), pd.read_csv(QUICK / "table.csv")
    ways = {way: [*zip(table[f"{way}_mean"], table[f"{way}_sd"])] for way in ("last", "validation", "best")}
    expected = table[["recordings", "levels"]].assign(
        channels=table["channels"].map(str),
        **{way: [spread(*one) for one in values] for way, values in ways.items()},
        reading=table["reading"].fillna(""),
        kB=(table["bytes"] / 1000).map("{:.1f}".format),
    )
    pd.testing.assert_frame_equal(rows[list(expected)], expected, check_dtype=False)
    low_bit = table["levels"] != "full"
    stated = [float(text.split()[0]) for text in rows.loc[low_bit, "difference"]]
    assert stated == pytest.approx(table.loc[low_bit, "difference"].tolist(), abs=0.006)


def ablations_agree(shown: list[str]) -> None:
    own = ["levels", "change", "channels"]
    rows = tables_with(shown, "change", "mean", "sd").set_index(own)
    ablations, correct = snnq.read_gathered(QUICK, "ablations"), snnq.read_correct(QUICK)
    table = snnq.ablation_table(ablations, correct).astype({"channels": str}).set_index(own)
    alone = table[~table.index.duplicated(keep=False)]  # the notebook does not repeat the ablation's name
    rows = rows[rows.index.isin(alone.index)]
    assert len(rows) > 40
    table = alone.loc[rows.index]
    for name in ("mean", "sd", "difference", "low", "high"):
        stated = pd.to_numeric(rows[name]).tolist()
        assert stated == pytest.approx(table[name].tolist(), abs=0.006, nan_ok=True), name


def costs_agree(shown: list[str]) -> None:
    rows = tables_with(shown, "effective_macs", "nanojoules").set_index(0)
    costs = pd.read_csv(QUICK / "costs.csv").groupby("weights_of", sort=False)
    expected = pd.DataFrame({name: snnq.cost_summary(of) for name, of in costs}).T
    assert rows.index.tolist() == expected.index.tolist()
    for name, digits in (("bytes", 0), ("dense", 0), ("effective_acs", 0), ("connection_sparsity", 3)):
        stated = [float(text.replace(",", "")) for text in rows[name]]
        assert stated == pytest.approx(expected[name].tolist(), rel=1e-5, abs=0.6 * 10**-digits), name


def faults_agree(shown: list[str]) -> None:
    rows = tables_with(shown, "intact").set_index([0, 1])
    faults = pd.read_csv(QUICK / "faults.csv")
    found = faults.groupby(["weights_of", "signs", "rate"])["accuracy"].agg(["mean", "std"])
    assert len(found) > 10
    for (weights, signs, rate), of in found.iterrows():
        assert rows.loc[(weights, signs), f"{rate:g}"] == spread(*(100 * of), ".1f")


AGREE = {
    "4_results": (results_agree, r"\d\d\.\d\d ± "),
    "5_ablations": (ablations_agree, r">\d\d\.\d\d<"),
    "6_deployment-costs": (costs_agree, r">\d+,\d{3},\d{3}<"),
    "6_deployment-faults": (faults_agree, r"\d\d\.\d ± "),
}


@pytest.mark.parametrize("name", AGREE)
def test_numbers_shown_are_those_of_the_tables(name):
    agree, _ = AGREE[name]
    agree(html_of(name.partition("-")[0]))


@pytest.mark.parametrize("name", AGREE)
def test_a_number_that_was_changed_is_seen(name):
    agree, number = AGREE[name]
    shown = html_of(name.partition("-")[0])
    place = next(i for i, html in enumerate(shown) if re.search(number, html))
    digit = re.search(number, shown[place]).start() + 1
    other = str((int(shown[place][digit]) + 5) % 10)
    shown[place] = shown[place][:digit] + other + shown[place][digit + 1 :]
    with pytest.raises(AssertionError):
        agree(shown)
