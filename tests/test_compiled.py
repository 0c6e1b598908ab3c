import numba
import pytest
from conftest import PROJECT
from numba.core import caching

from snnq.system.compiled import compiled


def twice(number):
    return 2 * number


def test_without_a_place_for_machine_code_it_is_kept_in_memory(monkeypatch):
    """As where the package and the home folder are read-only."""
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(twice)
    assert compiled()(twice)(3) == 6


def test_no_other_module_asks_for_a_place():
    asking = [path for path in PROJECT.glob("snnq/**/*.py") if "cache=True" in path.read_text()]
    assert [path.name for path in asking] == ["compiled.py"]
