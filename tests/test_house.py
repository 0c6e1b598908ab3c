"""The rooms of the package: imports run downwards only."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from conftest import PROJECT
from packaging.specifiers import SpecifierSet

import snnq

# From the top of the house to its ground; a room may import from those after it.
ROOMS = (
    "figures",
    "deployment",
    "study",
    "training",
    "storage",
    "networks",
    "simulation",
    "quantization",
    "recordings",
    "system",
)
PACKAGE = PROJECT / "snnq"


def imported_rooms(source: str) -> set[str]:
    """The rooms that a module's imports name, wherever in it they stand."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import hides its room"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("snnq.")}
    return found


def test_the_package_has_these_rooms():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downwards(room):
    below = set(ROOMS[ROOMS.index(room) :])
    if room == "quantization":
        below -= {"recordings"}
    for path in sorted((PACKAGE / room).rglob("*.py")):
        assert imported_rooms(path.read_text()) <= below, path


def test_an_import_that_runs_up_is_seen():
    source = "def f():\n    from snnq.figures import style\n    import snnq.study.tables"
    assert imported_rooms(source) == {"figures", "study"}
    assert imported_rooms("from snnq import training") == {"training"}


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_says_what_lives_in_it(room):
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
    assert "Start with" in text and "Uses" in text


@pytest.mark.parametrize("package", [snnq, snnq.figures], ids=["snnq", "figures"])
def test_the_public_names_are_there_and_no_others(package):
    assert sorted(package.__all__) == dir(package)  # which completion shows
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_names_are_imported_when_they_are_used():
    code = "import sys, snnq; dir(snnq); print([m for m in ('torch', 'tonic', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_locked_package_is_for_each_python_of_the_project():
    """Debian's 3.11.2 for example, where a package may ask for 3.11.5."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    least = SpecifierSet(project["requires-python"])
    (first,) = (one.version for one in least if one.operator == ">=")
    locked = re.findall(r"^([\w.-]+)==", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)
    wanted = {name: metadata.metadata(name)["Requires-Python"] or "" for name in locked}
    assert len(wanted) > 100
    assert [name for name, of in wanted.items() if f"{first}.0" not in SpecifierSet(of)] == []


@pytest.mark.xdist_group("house")
def test_tests_of_one_group_share_a_process(request):
    """Else each process makes for itself what only one of them should: trained runs, recordings."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("all tests share one process here")
    assert request.node.nodeid.endswith("@house")
