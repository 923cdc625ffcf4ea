"""Which paths lie in directories that are allowed."""

import pytest

from posthouse.util.path_prefix import is_path_allowed
from tests.support.lookups import logged


@pytest.mark.parametrize(
    ("path", "parents", "allowed"),
    [
        ("/a/b", ["/a"], True),
        ("/a", ["/a"], True),
        ("/a/", ["/a"], True),
        ("/a", ["/a/"], True),
        ("/ab", ["/a"], False),
        ("/a", ["/a/b"], False),
        ("/x", ["/"], True),
        ("/x", ["/a", "/x"], True),
        ("/x", [], False),
    ],
)
def test_directories(path: str, parents: list[str], allowed: bool) -> None:
    """Whole names only."""
    with logged() as lines:
        assert is_path_allowed(path, parents) is allowed
    assert not lines


@pytest.mark.parametrize(
    ("path", "parents", "said"),
    [
        ("a/b", ["/a"], "to match an allowlist prefix with relative pathname: 'a/b'"),
        ("", ["/a"], "to match an allowlist prefix with relative pathname: ''"),
        ("/a/../x", ["/a"], "to match an allowlist prefix with '/../': '/a/../x'"),
        ("/a/..", ["/a"], "to match an allowlist prefix with '/../': '/a/..'"),
        ("/x", ["x"], "to allowlist prefix with relative pathname: 'x'"),
        ("/x", ["/a/../x"], "to allowlist prefix with '/../': '/a/../x'"),
    ],
)
def test_names_that_may_mean_another_place(path: str, parents: list[str], said: str) -> None:
    """Refused, with a warning."""
    with logged() as lines:
        assert not is_path_allowed(path, parents)
    assert lines == [f"warning: ignoring attempt {said}"]
