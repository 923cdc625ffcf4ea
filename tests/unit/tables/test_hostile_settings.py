"""Files of settings with anything in them: each is opened or refused with its place, and nothing else happens."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from posthouse.config.settings import Settings
from posthouse.tables.hosts import parse_host
from posthouse.tables.needs import needs_of
from posthouse.util.errors import ConfigError
from tests.support.lookups import logged, opener

NAMES = [
    "hosts", "user", "password", "dbname", "query", "result_format", "domain", "expansion_limit", "timeout",
    "retry_interval", "idle_interval", "encoding", "charset", "option_file", "option_group",
    "require_result_set", "tls_CAfile", "tls_verify_cert", "select_function", "select_field", "table",
    "where_field", "additional_conditions", "dbpath", "backup", "url", "server_host",
]  # fmt: skip
WORDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"), max_size=20),
    st.sampled_from(
        ["%s", "%", "a=b", "postgresql://x@y:z/?", "unix:/x", "[::1", "inet:a:9", "5", "-1", "9" * 5000, "2h", "yes",
         "{a", "inline:{a=b}", "/etc/passwd", "host=/x port=y", "static:{", "no such:type", "sqlite:/x.cf", "'",
         "ldapi://%2F"]
    ),
)  # fmt: skip
FILES = st.dictionaries(st.sampled_from(NAMES), st.lists(WORDS, max_size=3).map(" ".join), max_size=8)
NOTHING = Settings.from_mapping({})


@pytest.mark.parametrize("kind", ["pgsql", "mysql", "sqlite"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=FILES)
@example({"select_function": "%"})
@example({"select_field": "%", "table": "t", "where_field": "k"})
def test_anything_in_a_file(kind: str, values: dict[str, str]) -> None:
    """Nothing is connected; no other exception gets out."""
    with tempfile.TemporaryDirectory() as directory, logged():
        path = Path(directory) / "table.cf"
        path.write_text("".join(f"{name} = {value}\n" for name, value in values.items()), encoding="utf-8")
        needs_of(kind, str(path), NOTHING)
        tables = opener()
        with contextlib.suppress(ConfigError):
            tables.open(f"{kind}:{path}")
        tables.close()


@given(WORDS)
def test_any_word_as_a_server(word: str) -> None:
    """It is one, or a ValueError."""
    try:
        host = parse_host(word, 5)
    except ValueError:
        return
    assert bool(host.path) != bool(host.name) or word.startswith("unix:")
    assert host.path or 0 < host.port < 65536
