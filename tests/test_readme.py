"""The README states what is in the committed tables, and these belong together."""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT

import snnq
from snnq.figures.membranes import lost_by_membrane_bits
from snnq.study.comparisons import accuracies
from snnq.study.intervals import holm, paired_difference
from snnq.study.report import interval

REFERENCE = PROJECT / "results" / "reference"
QUICK, DESK = REFERENCE / "quick", REFERENCE / "desk"


@pytest.fixture(scope="module")
def readme() -> str:
    return (PROJECT / "README.md").read_text()


def bench(name: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "bench" / f"{name}.csv")


def percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f} %"


def signed(points: float) -> str:
    """With its sign, or nothing where there is none."""
    return "" if pd.isna(points) else f"{points:+.2f}"


def test_every_link_leads_somewhere(readme):
    links = re.findall(r"\]\(([^)#]+)\)", readme)
    assert len(links) > 30
    for link in links:
        assert link.startswith("https://") or (PROJECT / link).exists(), link


def test_published_figures_say_where_they_are_from():
    table = pd.read_csv(REFERENCE / "published.csv")
    stated = ["benchmark", "method", "levels", "not_comparable", "source"]
    assert table[stated].notna().all(axis=None) and not table.duplicated().any()
    assert set(table["benchmark"]) <= set(snnq.BENCHMARKS)
    assert table["accuracy"].between(50, 100).eq(table["accuracy"].notna()).all()
    own = ["benchmark", "source"]
    full = table[table["levels"] == "full"].drop_duplicates(own).set_index(own)["accuracy"]
    given = table.dropna(subset="difference").join(full.rename("full"), on=own)
    both = given.dropna(subset="full")
    assert len(both) == 3 and both["difference"].tolist() == pytest.approx(both["accuracy"] - both["full"])
    assert given[given["full"].isna()]["accuracy"].isna().all()  # a loss is all that is stated


@cache
def ablations(study: Path) -> dict[str, pd.DataFrame]:
    """Of a study, each ablation's table by its name."""
    table = snnq.ablation_table(snnq.read_gathered(study, "ablations"), snnq.read_correct(study))
    return dict(iter(table.groupby("ablation", sort=False)))


@pytest.mark.parametrize(("study", "rows"), [(QUICK, 14), (DESK, 34)])
def test_results(readme, study, rows):
    table = pd.read_csv(study / "table.csv")
    table = table if study == QUICK else table[table["benchmark"] == "nmnist"]
    assert len(table) == rows
    for row in table.itertuples():
        difference = "" if row.levels == "full" else f"{row.difference:+.2f}"
        cells = [
            *([row.recordings] if study == QUICK else []),
            str(row.channels),
            row.levels,
            f"{row.last_mean:.2f} ± {row.last_sd:.2f}",
            difference,
            interval(row.difference_low, row.difference_high),
            "" if pd.isna(row.reading) else row.reading,
            f"{row.bytes / 1000:.1f}",
            f"{row.times_smaller:.1f}",
        ]
        assert f"| {' | '.join(cells)} |" in readme


def test_one_result(readme):
    stated = " ".join(readme.split())
    table = pd.read_csv(DESK / "table.csv").query("benchmark == 'nmnist'").set_index(["channels", "levels"])
    wide, full, narrow = table.loc[16, "binary"], table.loc[16, "full"], table.loc[2, "binary"]
    ends = f"{-wide.difference_high:.2f} to {-wide.difference_low:.2f}"
    assert f"costs {-wide.difference:.2f} points of accuracy (95 % CI {ends})" in stated
    assert f"{wide.last_mean:.2f} % in {wide.bytes / 1000:.0f} kB against" in stated
    assert f"{full.last_mean:.2f} % in {full.bytes / 1000:,.0f} kB" in stated
    ends = f"{-narrow.difference_high:.2f} to {-narrow.difference_low:.2f}"
    assert f"2 channels it costs {-narrow.difference:.2f} ({ends})" in stated


def test_fewer_bytes_and_more_accurate(readme):
    table = pd.read_csv(DESK / "table.csv").query("benchmark == 'nmnist'").set_index(["channels", "levels"])
    wide, full = table.loc[32, "binary"], table.loc[8, "full"]
    assert wide.bytes < full.bytes and wide.last_mean > full.last_mean
    stated = f"the binary one has {wide.last_mean:.2f} % in {wide.bytes / 1000:.0f} kB, where full precision with 8"
    stated += f" has {full.last_mean:.2f} % in {full.bytes / 1000:,.0f} kB"
    assert stated in " ".join(readme.split())


def test_learning_rates(readme):
    rows = snnq.read_gathered(DESK, "runs").query("benchmark == 'nmnist'")
    rates = rows.groupby(rows["levels"] == "full")["learning_rate"].unique().map(list)
    table = ablations(DESK)["full precision"].set_index("change")
    assert set(table["reading"]) == {"", "equal within 0.5 points"} and set(table["channels"]) == {4}
    (full,), (few,) = rates[True], rates[False]
    others = snnq.read_gathered(DESK, "ablations").query("ablation == 'full precision'")["learning_rate"]
    assert sorted(others.unique()) == [full / 2, full, 2 * full]
    stated = f"of {full}, few bits have {few}; with 4 channels full precision is equal within 0.5 points"
    assert f"{stated} at {full / 2} and at {2 * full}" in " ".join(readme.split())


def test_what_kind_of_networks(readme):
    stated = " ".join(readme.split())
    layers = snnq.footprint(snnq.build_model("nmnist", channels=16))
    weights = layers[layers["kind"].isin(["Conv2d", "Linear"])].groupby("kind")["numbers"].sum()
    assert f"hold {100 * weights['Linear'] / weights.sum():.1f} % of the weights" in stated
    published = pd.read_csv(REFERENCE / "published.csv").query("benchmark == 'nmnist'")
    of = published.groupby("levels")["accuracy"]
    reached = of.get_group("full")
    assert f"networks reach {reached.min():.1f} to {reached.max():.1f} % on the real N-MNIST" in stated
    ours = published[published["method"] == "differentiable quantizer"].set_index("levels")["accuracy"]
    assert f"the paper's lose {ours['full'] - ours['binary']:.1f} points with one bit" in stated
    table = pd.read_csv(DESK / "table.csv").query("benchmark == 'nmnist'").set_index(["levels", "channels"])
    errors = 100 - table["last_mean"]
    more = 100 * (errors["binary"] / errors["full"] - 1)
    assert list(more.index) == [2, 4, 8, 16, 32]
    assert f"{more.min():.0f} to {more.max():.0f} %, with 2 channels or with 32" in stated


def test_one_small_layer(readme):
    """Each method's difference to the sigmoids with the layer kept, minus that without, on the same runs."""
    rows, correct = snnq.read_gathered(DESK, "ablations"), snnq.read_correct(DESK)
    rows = rows[(rows["seed"] < 5) & (rows["order"] == 0)]

    def behind(ablation: str, method: str) -> np.ndarray:
        of = rows[rows["ablation"] == ablation].groupby("change")
        runs = [accuracies(of.get_group(change), correct).to_numpy() for change in (method, "sigmoids")]
        return runs[0] - runs[1]

    kept, all_binary = "quantizer, binary, small layers kept", "quantizer, binary"
    methods = rows.loc[rows["ablation"] == kept, "change"].unique()[1:]
    found = {one: paired_difference(behind(kept, one), behind(all_binary, one)) for one in methods}
    nearer = pd.Series({method: one.mean for method, one in found.items()})
    trained = nearer.drop("rounding after training")
    stated = f"nearer to the sigmoids, by {trained.min():.2f} points ({trained.idxmin()}) to {trained.max():.2f}"
    stated += f" ({trained.idxmax()}), and rounding by {nearer['rounding after training']:.1f};"
    assert stated in " ".join(readme.split()) and len(nearer) == 8 and (nearer > 0).all()
    p = holm(np.array([one.p for one in found.values()]))
    assert [method for method, value in zip(found, p) if value < 0.05] == ["ReScaW", "T-BSO"]


def test_one_bit_or_several(readme):
    stated = " ".join(readme.split())
    runs, correct = snnq.read_gathered(DESK, "runs").query("benchmark == 'nmnist'"), snnq.read_correct(DESK)
    table = pd.read_csv(DESK / "table.csv").query("benchmark == 'nmnist'").set_index(["levels", "channels"])
    narrow = table.loc[(["3bit", "4bit"], [2, 4]), :]
    assert set(narrow["reading"]) == {"not shown"} and len(narrow) == 4
    assert f"within {narrow['difference'].abs().max():.2f} points of full" in stated
    lost = -narrow["difference_low"].groupby("channels").min()
    assert f"a loss of more than {lost[2]:.1f} points with 2 channels and {lost[4]:.1f} with 4." in stated
    wide = [-table.loc[(levels, 8), "difference"] for levels in ("3bit", "4bit")]
    assert "With 8 they lose {:.2f} and {:.2f},".format(*wide) in stated
    beside = snnq.frontier_table(runs, correct, base="binary").dropna(subset="difference")
    beside = {levels: rows.set_index("channels") for levels, rows in beside.groupby(beside["levels"].map(str))}
    for levels, words in {
        "4bit": "of 4 bits by {}, {} and {} points with 2, 4 and 8 channels",
        "3bit": "of 3 bits by {}, {} and {}: all shown, corrected for their number. With 16 channels 3 bits are"
        " behind by {} points, which is not shown",
        "ternary": "behind by {}, {} and {}, and with 16 channels by {}, which is not shown",
        "2bit": "behind by {} with 2 channels and {} with 4 (not shown); with 8, in",
    }.items():
        points = [f"{-points:.1f}" for points in beside[levels]["difference"]]
        assert words.format(*points) in stated
    readings = {levels: rows["reading"].to_dict() for levels, rows in beside.items()}
    worse, equal = "worse", "equal within 0.5 points"
    assert readings["4bit"] == {2: worse, 4: worse, 8: worse}
    assert readings["3bit"] == {2: worse, 4: worse, 8: worse, 16: "not shown"}
    assert readings["ternary"] == {2: worse, 4: worse, 8: worse, 16: "not shown"}
    assert readings["2bit"] == {2: worse, 4: "not shown", 8: equal, 16: equal}
    kilobytes = beside["2bit"]["bytes"] / 1000
    assert f"with 8, in {kilobytes[8]:.0f} kB, and with 16, in {kilobytes[16]:.0f}, they are equal" in stated
    few = table.loc[["2bit", "3bit", "4bit"]].xs(16, level="channels")
    assert few["reading"].tolist() == [equal, equal, worse]
    widest = table.xs(32, level="channels").drop("full")
    assert widest["reading"].to_dict() == {"2bit": equal} | dict.fromkeys(("4bit", "3bit", "ternary", "binary"), "not shown")
    lost = -widest["difference"].loc[["4bit", "3bit", "ternary", "binary"]]
    assert "others: 4 bits {:.2f}, 3 bits {:.2f}, ternary {:.2f}, binary {:.2f} (".format(*lost) in stated
    assert "with 16 {:.2f} and {:.2f};".format(*-few["difference"].loc[["3bit", "4bit"]]) in stated


def test_four_bits_for_the_smallest_layer(readme):
    stated = " ".join(readme.split())
    runs, correct = snnq.read_gathered(DESK, "runs").query("benchmark == 'nmnist'"), snnq.read_correct(DESK)
    more, found = [], []
    for channels in (2, 4, 8):
        of = {str(levels): rows for levels, rows in runs[runs["channels"] == channels].groupby("levels")}
        both = of["binary, <1000: 4bit"], of["binary"]
        more.append(both[0]["bytes"].iloc[0] - both[1]["bytes"].iloc[0])
        found.append(paired_difference(*(accuracies(rows, correct).to_numpy() for rows in both)))
    assert "take {}, {} and {} bytes more with 2, 4 and 8 channels".format(*more) in stated
    assert "bring {:.2f}, {:.2f} and {:.2f} points".format(*(one.mean for one in found)) in stated
    assert holm(np.array([one.p for one in found])).min() > 0.05  # "none is shown"
    wide = runs[runs["channels"] == 16].set_index(["levels", "seed"])["last"].unstack(0)
    assert wide["binary, <1000: 4bit"].equals(wide["binary"])  # "the network is the binary one"


def test_more_than_three_levels(readme):
    tables = ablations(DESK)
    for bits in (4, 3, 2):
        table = tables[f"quantizer, {bits} bits"].set_index("change")
        as_binary = table.loc["sigmoids, as binary weights"]
        shown = (f"{row['mean']:.2f} ± {row['sd']:.2f}" for _, row in table.iterrows())
        cells = [str(bits), *shown, signed(as_binary["difference"])]
        cells += [interval(as_binary["low"], as_binary["high"]), as_binary["reading"]]
        assert f"| {' | '.join([*cells[:3], *cells[4:], cells[3]])} |" in readme
        assert set(table["seeds"]) == {5}
        assert table["reading"]["LSQ"] == ("not shown" if bits == 4 else "equal within 0.5 points")
    trials = tables["recipe, 4 bits"].set_index("change")["validation_mean"].drop("LSQ")
    assert trials.idxmax() == "the default"  # and nearly the best of the others, on three seeds
    for bits in (3, 2):
        trials = tables[f"recipe, {bits} bits"].set_index("change")["validation_mean"]
        assert trials["the default"] > trials.max() - 0.1
    binary = tables["recipe, binary"].set_index("change").loc[["the default", "hard from 0.5 to 0.95"]]
    gain = binary["validation_mean"].diff().iloc[1], binary["mean"].diff().iloc[1]
    stated = " ".join(readme.split())
    assert [round(points, 2) for points in gain] == [0.29, 0.29] and "gained 0.29 points on both" in stated
    late = tables["hardening, later, ten seeds"].iloc[1]
    assert (late["seeds"], late["runs"]) == (10, 20)
    stated_late = f"orders it brings {late['difference']:.2f} (−{-late['low']:.2f} to {late['high']:+.2f};"
    assert stated_late in stated and late["reading"] == "equal within 0.5 points"


def test_methods(readme):
    tables = ablations(DESK)
    table, kept = tables["quantizer, binary"], tables["quantizer, binary, small layers kept"]
    assert len(table) == 9 and table["mean"].idxmax() == 0 and table["change"].iloc[0] == "sigmoids"
    assert (table["difference"].dropna() < 0).all() and set(table["seeds"]) == {10}
    assert set(kept["reading"]) == {"", "not shown"} and set(kept["seeds"]) == {5}
    assert (kept["difference"] > 0).sum() == 4  # "four have the higher mean"
    beside = kept.set_index("change")
    shown = table.set_index("change")["reading"]
    assert {*shown.index[shown == "not shown"]} == {"LSQ", "DoReFa", "ReScaW"}
    stated = " ".join(readme.split())
    assert f"its p-value ({table.set_index('change')['p']['sign']:.2f}) is not corrected" in stated
    rows = snnq.read_gathered(DESK, "ablations").query("ablation == 'quantizer, binary'")
    first, added = (
        snnq.ablation_table(rows[rows["seed"].isin(seeds)], snnq.read_correct(DESK)).set_index("change")
        for seeds in (range(5), range(5, 10))
    )
    near = ["sign", "LSQ", "DoReFa", "ReScaW"]
    assert {*first["reading"]} == {"", "not shown"} and {*added["reading"][near]} == {"not shown"}
    assert (first["difference"][near] < added["difference"][near]).all()
    behind = -added["difference"][near]
    assert f"alone {', '.join(near[:3])} and {near[3]} are {behind.min():.2f} to {behind.max():.2f} points" in stated
    assert {*shown} == {"", "worse", "not shown"}
    for row in table.itertuples():
        difference = signed(row.difference)
        cells = [
            row.change,
            f"{row.mean:.2f} ± {row.sd:.2f}",
            difference,
            interval(row.low, row.high),
            row.reading,
            f"{beside['mean'][row.change]:.2f} ± {beside['sd'][row.change]:.2f}",
        ]
        assert f"| {' | '.join(cells)} |" in readme


def test_methods_with_half_of_the_learning_rate(readme):
    table = ablations(DESK)["quantizer, binary, half of the learning rate"].set_index("change")
    first, second = table["mean"].nlargest(2).items()
    assert first[0] == "sigmoids" and set(table["seeds"]) == {3} and len(table) == 8
    whole = snnq.read_gathered(DESK, "ablations")
    whole = whole.query("ablation == 'quantizer, binary' and seed < 3 and order == 0")
    gained = table["mean"] - 100 * whole.groupby("change")["last"].mean().loc[table.index]
    stated = f"highest mean again, {first[1]:.2f} %, then {second[0]} with {second[1]:.2f}, and no"
    assert f"{stated} method gains more than {gained.max():.2f} points" in " ".join(readme.split())


def test_methods_with_8_channels(readme):
    stated = " ".join(readme.split())
    table = ablations(DESK)["quantizer, binary, 8 channels"].set_index("change")
    alike = table.loc[["sign", "LSQ", "DoReFa", "Q-SNN", "ReScaW"]]
    low, high = alike["mean"].min(), alike["mean"].max()
    first = f"sigmoids {table['mean']['sigmoids']:.2f} %, {', '.join(alike.index[:-1])} and {alike.index[-1]}"
    assert f"{first} {low:.2f} to {high:.2f}, of which DoReFa is shown to be equal within 0.5" in stated
    assert alike["reading"]["DoReFa"] == "equal within 0.5 points"
    assert {*table["reading"].drop(["sigmoids", "DoReFa"])} == {"not shown"} and {*table["seeds"]} == {3}
    behind = [f"{-table['difference'][of]:.2f}" for of in ("BSO", "T-BSO", "rounding after training")]
    assert f"are behind by {', '.join(behind[:2])} and {behind[2]} points" in stated


def test_ternary_methods_with_8_channels(readme):
    table = ablations(DESK)["quantizer, ternary, 8 channels"].set_index("change")
    others = table.loc["LSQ":"TTQ", "mean"]
    learned = table["mean"]["sigmoids, T = 16, T' = 8, β learned"]
    stated = f"the default {table['mean']['sigmoids']:.2f} %, the five other methods {others.min():.2f} to"
    stated += f" {others.max():.2f}, with β learned {learned:.2f}, and nothing shown"
    assert stated in " ".join(readme.split()) and len(others) == 5
    assert {*table["reading"]} == {"", "not shown"} and {*table["seeds"]} == {3}


def test_ternary_methods(readme):
    table = ablations(DESK)["quantizer, ternary"].set_index("change")
    assert set(table["seeds"]) == {5} and {*table["reading"]} == {"", "not shown"}
    for row in table.itertuples():
        difference = signed(row.difference)
        cells = [row.Index, f"{row.mean:.2f} ± {row.sd:.2f}", difference, interval(row.low, row.high), row.reading]
        assert f"| {' | '.join(cells)} |" in readme
    ours = table.index.str.startswith("sigmoids")
    trained = table[~ours].drop("rounding after training")
    assert len(trained) == 5 and (trained["difference"] > 0).all() and len(table) == 9
    best = table.loc["sigmoids, T = 16, T' = 8, β learned"]
    stated = " ".join(readme.split())
    assert f"and {best['difference']:.2f} points on that of all five, to where TWN is" in stated
    assert abs(best["mean"] - table["mean"]["TWN"]) < 0.05
    tried = [ablations(DESK)[name].set_index("change") for name in ("temperature, ternary", "recipe, ternary")]
    tried = pd.concat(one["validation_mean"].iloc[1:] for one in tried)
    assert len(tried) == 15 and tried.idxmax() == "β learned, T = 16, T' = 8"
    rows, correct = snnq.read_gathered(DESK, "ablations"), snnq.read_correct(DESK)
    rows = rows[rows["ablation"] == "recipe, ternary"].groupby("change")
    names = "β learned, T = 16, T' = 8", "the default"
    found = paired_difference(*(accuracies(rows.get_group(of), correct).to_numpy() for of in names))
    assert f"brings {found.mean:.2f} points on the test of these three" in stated
    assert len(rows.get_group(names[0])) == 3 and 15 * found.p > 0.05
    staircases = snnq.read_gathered(DESK, "staircases").query("levels == 'ternary' and channels == 16")
    zeros = 100 * staircases["shares"].str[1]
    assert f"{zeros.min():.0f} to {zeros.max():.0f} % of a layer are zero" in stated
    assert staircases["seed"].nunique() == 1
    binary = ablations(DESK)["temperature, binary"]
    assert {*binary["reading"]} == {"", "not shown"} and len(binary) == 3


def test_methods_on_harder_pictures(readme):
    stated = " ".join(readme.split())
    table = pd.read_csv(DESK / "table.csv").query("benchmark == 'cifar10dvs'").set_index("levels")
    full, binary, ternary = (table.loc[levels] for levels in ("full", "binary", "ternary"))
    assert f"has {full.last_mean:.2f} ± {full.last_sd:.2f} % in {full.bytes / 1000:.1f} kB" in stated
    assert f"ones in {binary.bytes / 1000:.1f} kB and ternary ones in {ternary.bytes / 1000:.1f}," in stated
    assert f"(binary {-binary.difference:.2f} points, ternary {-ternary.difference:.2f})" in stated
    assert set(table["seeds"]) == {3} and set(table["test_recordings"]) == {2000}
    methods = pd.concat(ablations(DESK)[f"quantizer, {of}, CIFAR-10"] for of in ("binary", "ternary"))
    assert {*methods["reading"], *table["reading"].dropna()} == {"", "not shown"}
    for name, rows in methods.groupby("change"):
        rows = rows.set_index("levels").reindex(["binary", "ternary"])
        cells = [name]
        for row in rows.itertuples():
            reached = "" if pd.isna(row.mean) else f"{row.mean:.2f} ± {row.sd:.2f}"
            cells += [reached, signed(row.difference), interval(row.low, row.high)]
        assert f"| {' | '.join(cells)} |" in readme


def test_what_a_protocol_is_worth(readme):
    rows = snnq.read_gathered(DESK, "ablations").query("ablation in ('split', 'augmentation')")
    first = rows.query("ablation == 'split' and change == '80/20'")
    for name, of_choice, way in (
        ("80/20, flips", first, "last"),
        ("90/10, flips", rows[rows["change"] == "90/10"], "last"),
        ("80/20, no augmentation", rows[rows["change"] == "none"], "last"),
        ("80/20, flips and crops", rows[rows["change"] == "flip_crop"], "last"),
        ("80/20, flips, best epoch on the test", first, "best"),
    ):
        found = 100 * of_choice.groupby("levels")[way].agg(["mean", "std"])
        cells = (f"{found['mean'][of]:.2f} ± {found['std'][of]:.2f}" for of in ("full", "binary"))
        assert f"| {name} | {' | '.join(cells)} |" in readme
    stated = " ".join(readme.split())
    moved = [ablations(DESK)[name]["difference"].dropna().abs() for name in ("split", "augmentation")]
    moved.append(100 * (first["best"] - first["last"]).groupby(first["levels"]).mean())
    moved = pd.concat(moved)
    assert f"by {moved.min():.1f} to {moved.max():.1f} points" in stated
    assert set(first["seed"]) == {0, 1, 2} and set(first["test_recordings"]) == {2000}
    assert set(rows[rows["change"] == "90/10"]["test_recordings"]) == {1000}
    for name in ("split", "augmentation"):
        assert set(ablations(DESK)[name]["reading"]) == {"", "not shown"}


def test_whether_posits_equal_float32(readme):
    folder = REFERENCE / "arithmetic_mnist"
    table = pd.read_csv(folder / "arithmetic.csv").fillna({"reading": ""})
    rows = pd.read_csv(folder / "ablations.csv")
    assert set(rows["test_recordings"]) == {10_000} and set(table["seeds"]) == {5} and len(table) == 4
    for levels, name in ("full", "full precision"), ("binary", "binary"):
        of = table[table["levels"] == levels].set_index("change")
        first, posit = of.loc["float32"], of.loc["posit8, stochastic"]
        means = (f"{row['mean']:.2f} ± {row['sd']:.2f}" for row in (first, posit))
        ends = interval(posit["low"], posit["high"])
        cells = [name, *means, signed(posit["difference"]), ends, posit["reading"]]
        assert f"| {' | '.join(cells)} |" in readme and posit["reading"] == "not shown"


def test_8_bit_arithmetic(readme):
    folder = REFERENCE / "arithmetic"
    table = pd.read_csv(folder / "arithmetic.csv").fillna({"reading": ""})
    table = table[table["ablation"] == "arithmetic, all components"]
    assert set(table["seeds"]) == {5} and len(table) == 20
    again = ablations(folder)["arithmetic, all components"]
    keys = ["change", "levels"]
    beside = table.merge(again, on=keys, suffixes=("", "_again"))
    assert beside["mean"].tolist() == pytest.approx(beside["mean_again"].tolist(), abs=1e-3)
    for change, rows in table.groupby("change"):
        rows, cells = rows.set_index("levels"), [change]
        for levels in ("full", "binary"):
            row = rows.loc[levels]
            difference = signed(row["difference"])
            cells += [f"{row['mean']:.2f} ± {row['sd']:.2f}", difference, row["reading"]]
        cells.append(f"{rows['step_bytes']['binary'] / 1e6:.2f}")
        assert f"| {' | '.join(cells)} |" in readme
    stated = " ".join(readme.split())
    changed = table.dropna(subset="difference")
    stochastic = changed["change"].str.contains("stochastic")
    found = changed[stochastic].groupby("levels")["difference"]
    assert f"within {found.get_group('full').abs().max():.1f} points of float32" in stated
    lost = -found.get_group("binary")
    assert f"and {lost.min():.1f} to {lost.max():.1f} below it with binary weights" in stated
    lost = -changed[~stochastic]["difference"]
    assert f"nearest all are below, by {lost.min():.1f} to {lost.max():.1f} points" in stated
    assert set(table["reading"]) == {"", "not shown"}


def test_8_bits_one_component_at_a_time(readme):
    tables = ablations(REFERENCE / "arithmetic")
    key = ["change", "levels"]
    found = [tables[f"arithmetic, one component in {of}"].set_index(key) for of in ("posit8", "float8")]
    for change in found[0].index.unique("change").drop("float32"):
        rows = [one.loc[change, levels] for levels in ("full", "binary") for one in found]
        cells = [f"{signed(row['difference'])} ({interval(row['low'], row['high'])})" for row in rows]
        assert f"| {change} | {' | '.join(cells)} |" in readme
    both = pd.concat(found).dropna(subset="difference")
    of_weights = both.index.get_level_values("change") == "weights"
    weights, others = both[of_weights], both[~of_weights]
    stated = " ".join(readme.split())
    lost = -weights["difference"]
    assert f"they lose {lost.min():.1f} to {lost.max():.1f} points" in stated and (weights["high"] < 0).all()
    assert f"(p = {weights['p'].min():.3f} at the least)" in stated and {*both["reading"]} == {"not shown"}
    assert f"No other component loses more than {-others['difference'].min():.1f}" in stated


def test_what_a_small_layer_costs(readme):
    rule, layers = {"<1000": "full", "rest": "binary"}, []
    for levels in ("binary", rule):
        model = snnq.quantize(snnq.build_model("nmnist", channels=4), levels)
        layers.append(snnq.footprint(model).set_index("layer")["bytes"])
    more = layers[1] - layers[0]
    assert (more != 0).sum() == 1
    weights = snnq.build_model("nmnist", channels=4).get_submodule(more.idxmax()).weight.numel()
    stated = " ".join(readme.split())
    assert f"the smallest quantized layer: {weights} weights." in stated and f"takes {more.sum():.0f} bytes more" in stated


def test_what_brings_nothing(readme):
    stated = " ".join(readme.split())
    time = ablations(DESK)["training time"].set_index(["levels", "change"])
    gained = time["difference"].dropna().droplevel("change")
    left = time["mean"]["full", "9 epochs"] - time["mean"]["binary", "9 epochs"]
    assert f"bring binary weights {gained['binary']:.2f} points and full precision {gained['full']:.2f}" in stated
    assert f"so that {left:.2f} points of loss stay" in stated
    table = ablations(DESK)["starting point"]
    start = table.set_index(table["change"].str.partition(", ")[2])
    half = start.loc["half of the epochs in full precision"]
    assert half["difference"] == 0 and half["reading"] == "the same in each seed"
    other = start.loc["in full precision at the same learning rate"]
    first = start.loc["quantized from the first step"]
    assert f"it is {-other['difference']:.2f} points behind ({other['reading']})" in stated
    assert f"from the first step {-first['difference']:.2f} ({first['reading']})" in stated


@pytest.mark.parametrize("study", [QUICK, DESK])
def test_the_frontier(readme, study):
    runs = snnq.read_gathered(study, "runs")
    table = snnq.frontier_table(runs[runs["benchmark"] == "nmnist"], snnq.read_correct(study))
    (point,) = snnq.ahead_from(table).itertuples()
    stated = " ".join(readme.split())
    assert f"The binary network of {point.channels} channels takes {point.bytes / 1000:.0f} kB" in stated
    assert f"is {point.difference:.1f} points ahead of" in stated
    assert f": {point.corrected_low:.1f} to {point.corrected_high:.1f})" in stated
    if study == DESK:
        assert f"in full precision, which takes {point.base_bytes / 1000:.0f}" in stated
        binary = table.query("levels == 'binary' and channels >= @point.channels")
        assert set(binary["reading"]) == {"better"}


def test_the_tables_are_gathered_from_the_runs_beside_them():
    runs = snnq.read_gathered(QUICK, "runs")
    table = snnq.read_gathered(QUICK, "table").fillna({"reading": ""})
    found = snnq.results_table(runs, snnq.read_correct(QUICK))
    pd.testing.assert_frame_equal(found[list(table)], table, check_dtype=False, atol=1e-3)
    histories = snnq.read_gathered(QUICK, "histories")
    last = histories.groupby(["benchmark", "channels", "levels", "seed"])["test_accuracy"].last()
    for run in runs.itertuples():
        stated = last[run.benchmark, run.channels, run.levels, run.seed]
        assert stated == pytest.approx(run.last, rel=1e-5)
    ablations = snnq.read_gathered(QUICK, "ablations")
    shared = ablations.merge(runs, on="name", suffixes=("", "_of_runs"))
    assert len(shared) > 20 and (shared["last"] == shared["last_of_runs"]).all()


@pytest.mark.parametrize("table", ["runs", "ablations"])
def test_every_reference_run_is_of_a_commit(table):
    assert snnq.read_gathered(QUICK, table)["commit"].str.fullmatch("[0-9a-f]{40}").all()


def test_each_network_of_the_reference_is_a_run_of_it():
    runs = snnq.read_gathered(QUICK, "runs")
    of_ablations = snnq.read_gathered(QUICK, "ablations")[list(runs)]  # the only one of 2 bits
    runs = pd.concat([runs, of_ablations]).drop_duplicates("name").set_index("name")
    found, table = snnq.packed_networks(QUICK, widest=False), snnq.read_gathered(QUICK, "table")
    own = ["benchmark", "channels", "levels"]
    assert {*found[own].itertuples(index=False)} == {
        *table[own].itertuples(index=False), ("nmnist", 4, "2bit"),
    }  # fmt: skip
    for row in found.itertuples():
        run = runs.loc[row.name]
        source = snnq.unpack(PROJECT / row.path).source
        shared = ("seed", "epochs", "batch_size", "learning_rate", "channels", "neuron", "quantizer")
        shared += ("data", "steps", "augmentation", "temperature_final", "backward_temperature")
        assert {name: source[name] for name in shared} == run[list(shared)].to_dict()
        card = (PROJECT / row.path).with_suffix(".md").read_text()
        assert percent(run["last"]) in card


def test_speed(readme):
    for name, times in (
        ("frames_batches", lambda t: t["ratio"]),
        ("frames_building", lambda t: 1 / t["ratio"]),
        *((f"loop_{channels}", lambda t: t["faster"]) for channels in (128, 16, 8, 4)),
    ):
        ratio = times(bench(name)).iloc[1]
        stated = f"{ratio:.0f}" if ratio > 10 else f"{ratio:.1f}"
        assert f"| {stated} ([{name}.csv](results/reference/bench/{name}.csv)) |" in readme


def test_fused_layers(readme):
    table = bench("fused").query("size == 34")
    for channels in (4, 16, 128):
        cells = []
        for passes in ("forward", "both"):
            rows = table[(table["channels"] == channels) & (table["passes"] == passes)]
            *layers, fused = rows["seconds"]
            cells.append(f"{min(layers) / fused:.1f}")
        assert f"| {channels} | {' | '.join(cells)} |" in readme


def test_the_camera(readme):
    for row in bench("simulation").itertuples():
        cells = f"{row.numpy_per_second:.0f} | {row.compiled_per_second:.0f} | {row.ratio:.1f}"
        assert f"| {row.benchmark} | {cells} |" in readme


def test_what_quantization_costs(readme):
    quantizer, step = (bench(name).set_index("candidate") for name in ("quantizer", "step"))
    for bits in (1, 2, 3, 4):
        columns = [f"{quantizer.ratio[f'snnq, {bits} bit, T = 10']:.1f}"]
        for table, form in ((quantizer, "{:.1f}"), (step, "{:.2f}")):
            if table is step:
                columns.append(form.format(step.ratio[f"snnq, {bits} bit"]))
            for peer in ("naive sum", "Brevitas"):
                measured = f"{peer}, {bits} bit" in table.index
                columns.append(form.format(table.ratio[f"{peer}, {bits} bit"]) if measured else "–")
        columns.append(f"{step.memory_ratio[f'snnq, {bits} bit']:.2f}")
        assert f"| {bits} | {' | '.join(columns)} |" in readme


def test_a_step_narrow_and_layer_by_layer(readme):
    step, narrow = (bench(name).set_index("candidate") for name in ("step", "step_16"))
    ratios = [narrow.ratio[f"snnq, {bits} bit"] for bits in (1, 2, 3, 4)]
    full, layers = step.peak_mb[["full precision", "full precision, layer by layer"]] / 1000
    assert f"takes {min(ratios):.2f} to {max(ratios):.2f} times one in full precision" in readme
    text = " ".join(readme.split())
    assert f"peaks at {full:.2f} GB, and at {layers:.2f} GB with SpikingJelly's layers" in text


def test_interruptions(readme):
    (row,) = bench("kills").itertuples()
    assert f"killed {row.kills} times" in readme and row.kills >= 20
    assert all(bench("kills").iloc[0][["history.csv", "weights.safetensors", "accuracies"]])
    assert bench("restarts")["as_expected"].all()


def test_how_far_simulated_is_from_real(readme):
    cameras = bench("camera").set_index("camera")
    for column in ("events", "spread", "time", "place", "sign", "frames"):
        crude, calibrated = cameras.loc[["crude", "calibrated"], column]
        assert f"| {crude:.3f} | {calibrated:.3f} |" in readme
    table = bench("simulated_to_real")
    simulated = pd.read_csv(DESK / "table.csv").query(
        "benchmark == 'nmnist' and levels in @table.levels and channels in @table.channels"
    )
    assert len(table) == len(simulated) == 12 and set(table["test_recordings"]) == {800}
    for row, before in zip(table.itertuples(), simulated.itertuples()):
        difference = "" if row.levels == "full" else f"{row.difference:+.2f}"
        assert row.simulated_mean == pytest.approx(before.last_mean, abs=1e-3)
        cells = [
            str(row.channels),
            row.levels,
            f"{row.simulated_mean:.2f}",
            f"{row.last_mean:.2f} ± {row.last_sd:.2f}",
            difference,
            interval(row.difference_low, row.difference_high),
        ]
        assert f"| {' | '.join(cells)} |" in readme
        if row.levels != "full":  # what a bit costs is the same, within the intervals
            assert row.difference_low < before.difference_high
            assert before.difference_low < row.difference_high


def test_ways_to_a_network_for_real_recordings(readme):
    table = bench("real_nmnist").fillna({"reading": ""}).set_index(["change", "levels"])
    assert set(table["test_recordings"]) == {100} and set(table["seeds"]) == {5}
    for way in ("in two stages", "from scratch", "from simulated ones"):
        full, binary = (
            f"{row['mean']:.1f} ± {row.sd:.1f}" for _, row in table.loc[way].loc[["full", "binary"]].iterrows()
        )
        (line,) = (line for line in readme.splitlines() if line.startswith(f"| {way}: "))
        assert line.endswith(f"| {full} | {binary} |")
    same = table.loc["from scratch", "binary"]
    assert same["difference"] == 0 and same["reading"] == "the same in each seed"
    assert set(table["reading"]) == {"", "not shown", "the same in each seed"}


def test_packed_files_and_the_c_program(readme):
    binary = bench("packing").query("levels == 'binary'")
    for benchmark, times in binary.pivot(
        index="benchmark", columns="keep", values="times"
    ).iterrows():
        stated = (f"{times[keep]:.1f}" for keep in ("first", "none", "first+last"))
        assert f"| {benchmark} | {' | '.join(stated)} |" in readme
    c, torch = (row for _, row in bench("c_inference").iterrows())
    assert f"**{torch.ratio:.1f} times faster**" in readme
    assert f"takes {c.megabytes:.1f} MB" in readme and c.same_class == c.recordings


def test_passes_of_the_staircase(readme):
    ends = bench("staircase_passes").groupby("form")["passes"].agg(["min", "max"]).itertuples(index=False)
    kernel, summed = sorted(ends)
    stated = " ".join(readme.split())
    assert f"({kernel[0]:.1f} to {kernel[1]:.1f} times the weights' bytes" in stated
    assert f"summing the sigmoids moves {summed[0]:.0f} to {summed[1]:,.0f} times" in stated


def test_steps_on_a_gpu(readme):
    for channels in (128, 8):
        table = bench(f"gpu_{channels}").set_index("loop")
        names = "SpikingJelly", "snnq, tf32, graph", "snnq, bf16, graph", "snnq"
        cells = [f"{table.milliseconds_per_step[name]:.1f}" for name in names]
        for bits in (1, 4):
            faster = table["faster_than_full_precision"][f"snnq, tf32, graph, {bits} bit"]
            cells.append(f"{1 / faster:.2f}")
        assert f"| {channels} | {' | '.join(cells)} |" in readme
        assert set(table["gpu"]) == {"NVIDIA H200"}


def test_fpgas(readme):
    stated = " ".join(readme.split())
    for name, said in (
        (
            "ecp5",
            "a binary network of {channels} channels with {accuracy:.2%} on simulated N-MNIST takes {luts:,}"
            " lookup tables, {block_rams} block RAMs and {ms:.2f} ms a recording at {mhz:.0f} MHz",
        ),
        ("ice40", "one of {channels} channels with {accuracy:.2%} fits an iCE40 UP5K, with {ms:.0f} ms"),
    ):
        (row,) = bench(f"fpga_{name}").to_dict("records")
        assert said.format(**row).replace("%", " %") in stated


def test_bits_of_membranes(readme):
    rows = bench("membranes").query("levels == 'binary' and channels == 8")
    assert set(rows["seed"]) == set(range(5)) and set(rows["test_recordings"]) == {10_000}
    lost = lost_by_membrane_bits(rows).query("not trained").set_index("membrane_bits")
    stated = " ".join(readme.split()).replace("−", "-")
    assert f"lose {-lost.difference[12]:.2f} points as integers with membranes of 12 bits" in stated
    assert f"and {-lost.difference[6]:.2f} with 6 " in stated
    ends = (f"{lost.low[bits]:.2f} to {lost.high[bits]:.2f}" for bits in (12, 6))
    assert f"95 % CI {' and '.join(ends)};" in stated
    same = bench("integers")
    assert set(same["channels"]) == {4, 8} and (same["recordings"] == 100).all()
    assert len(same) == 4 and (same.filter(like="differ") == 0).all(axis=None)


def test_trials_of_the_recipe(readme):
    stated = " ".join(readme.split())
    trials = pd.read_csv(REFERENCE / "recipe.csv", keep_default_na=False)
    trials = trials[(trials["recordings"] == 15000) & (trials["full_precision_too"] == "")]
    at_once = trials.query("remedy == 'none' and method == 'sigmoid'")
    sign = trials.query("remedy == 'none' and method == 'sign' and learning_rate == 0.004")
    surest = trials[trials["remedy"].str.endswith("the surest first") & (trials["learning_rate"] == 0.008)]
    surest = surest.query("temperature == '4' and backward_temperature == '2'")
    for rows in (at_once, sign, surest):
        assert sorted(rows["seed"]) == [0, 1, 2]
    for rows, columns in ((at_once, ["hard", "soft"]), (sign, ["hard"]), (surest, ["hard"])):
        ranges = (f"{rows[column].min():.2f} to {rows[column].max():.2f}" for column in columns)
        assert f"| {' | '.join(ranges)} |" in stated
    collapsed = trials["hard"].where(trials["method"] == "sigmoid") < 80
    hardened = trials["remedy"].str.startswith("weights hard one after another")
    beta = hardened & (trials["learned"] == "alpha beta")
    assert (collapsed.sum(), (collapsed & beta).sum(), beta.sum()) == (5, 5, 15)
    assert (surest["hard"] - surest["soft"]).abs().max() < 0.01


def test_hardening_with_and_without(readme):
    table = ablations(DESK)["hardening, with and without"].set_index("change")
    assert set(table["seeds"]) == {5} and {*table["reading"]} == {"", "not shown"}
    stated = " ".join(readme.split())
    rising, constant = "sigmoids, all at once, T 2 to 1000", "sigmoids, all at once"
    rows = snnq.read_gathered(DESK, "ablations").query(f"ablation == '{table['ablation'].iloc[0]}'")
    last = 100 * rows.set_index(["change", "seed"])["last"]
    lost = (last["sigmoids, one after another"] - last[rising]).max()
    ends = f"ends {-table['difference'][rising]:.2f} points behind one after another"
    assert f"{ends}, with a seed that loses {lost:.1f}" in stated
    assert f"at a constant temperature, {-table['difference'][constant]:.2f}." in stated
    moved = [table["mean"][f"{of}, one after another"] - table["mean"][of] for of in ("sign", "LSQ", "DoReFa")]
    assert max(map(abs, moved)) < 0.3


def test_faults(readme):
    both = bench("faults").query("(levels == '3bit' and stuck_at_0 == 0.1) or (levels == '4bit' and stuck_at_0 == 0.2)")
    assert len(both) == 9
    for row in both.itertuples():
        share = "" if pd.isna(row.share) else f"{row.share:.2f}"
        cells = [row.training, f"{row.devices}", f"{row.mean:.2f}", f"{row.worst:.2f}"]
        assert f"| {' | '.join([*cells, f'{row.lost:.2f}', share])} |" in readme
    table, others = both[both["levels"] == "3bit"], both[both["levels"] == "4bit"]
    met = others[~others["training"].str.startswith("without faults")]
    assert (met["share"] < 0.05).all() and met["p_holm"].round(2).unique().tolist() == [0.08]
    assert others["seeds"].unique() == [3]
    (sound,) = ablations(REFERENCE / "faults").values()
    means = sound.set_index("change")["mean"]
    stated = f"that met unknown faults have {means['unknown']:.0f} % (without faults {means['without faults']:.0f};"
    assert stated in " ".join(readme.split())
    known = table.set_index("training").loc["known faults"]
    stated = " ".join(readme.split())
    assert f"it ends {-known.high:.1f} to {-known.low:.1f} points below half of it (95 % CI" in stated
    assert f"p = {known.p_holm:.3f}, corrected" in stated
    rows = bench("faults_devices")
    assert rows["test_recordings"].unique() == [2500] and table["seeds"].unique() == [5]


def test_one_network_with_everything(readme):
    """Of notebook 6 as the desk study left it."""
    notebook = json.loads((DESK / "notebooks/6_deployment.ipynb").read_text())
    cell = next(c for c in notebook["cells"] if "together = " in "".join(c["source"]))
    shown = "".join(cell["outputs"][0]["data"]["text/html"])
    _, _, *found = re.findall(r'class="data row\d col0" >([\d.]+)<', shown)
    whole, stuck, knowing = map(float, found)
    stated = " ".join(readme.split())
    assert f"keeps {stuck:.2f} % of {whole:.2f} where a fifth" in stated
    assert f"and {knowing:.2f} % where it was trained for that device" in stated
