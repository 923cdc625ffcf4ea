"""trivial-rewrite and proxymap with their clients, in one loop: batches, caches, generations, refusals."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posthouse.daemons.proxymap.daemon import DAEMON as PROXYMAP
from posthouse.daemons.trivial_rewrite import service as service_module
from posthouse.daemons.trivial_rewrite.daemon import DAEMON as TRIVIAL_REWRITE
from posthouse.ipc.rewrite import CLASS_DEFAULT, CLASS_LOCAL, FAILED, Resolved, Rewrite, RewriteResult
from posthouse.rewriting import client as client_module
from posthouse.rewriting.client import RewriteClient
from posthouse.tables import lmdb
from posthouse.tables import proxy as proxy_module
from posthouse.tables import unix as unix_module
from posthouse.tables.open import Opener
from posthouse.tables.proxy import ProxyClient
from posthouse.util.errors import TableError
from tests.support.inprocess import System

Make = Callable[..., System]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return a function that makes a system with some settings and both services."""
    systems: list[System] = []

    def start(**settings: str) -> System:
        system = System(tmp_path, settings)
        system.start(PROXYMAP, "private/proxymap")
        system.start(TRIVIAL_REWRITE, "private/rewrite")
        systems.append(system)
        return system

    yield start
    for system in systems:
        system.close()


def _client(system: System, **options: bool) -> RewriteClient:
    return RewriteClient(system.loop, str(system.directory / "private/rewrite"), **options)


def test_a_batch_is_answered_in_order(make: Make) -> None:
    """Duplicates included; more than fit in one request, too."""
    system = make()
    client = _client(system)
    addresses = ["a@far.test", "b@example.test", "a@far.test", *(f"u{number}@d{number}.test" for number in range(1200))]
    answers = system.run(client.resolve_many("s@far.test", addresses))
    assert [answer.recipient for answer in answers] == addresses
    assert answers[0] == Resolved(CLASS_DEFAULT, "smtp", "far.test", "a@far.test")
    assert answers[1] == Resolved(CLASS_LOCAL, "local", "mx.example.test", "b@example.test")
    client.close()


def test_a_batch_that_takes_long_leaves_others_their_turn(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of addresses full of routes come first; somebody who asks for one address is answered before them."""
    monkeypatch.setattr(service_module, "SLICE_S", 0.0)
    system = make()
    answered: list[str] = []

    async def both() -> None:
        loop = system.loop
        many, one = _client(system), _client(system)
        await one.resolve("warm@far.test")
        batch = [f"u{number}" + "%example.test" * 30 for number in range(400)]
        first = loop.create_task(many.resolve_many("s@far.test", batch))
        first.add_done_callback(lambda _: answered.append("many"))
        await _pause(system)
        second = loop.create_task(one.resolve("a@far.test"))
        second.add_done_callback(lambda _: answered.append("one"))
        await first
        await second
        many.close()
        one.close()

    system.run(both())
    assert answered == ["one", "many"]


def test_answers_are_remembered(make: Make) -> None:
    """A second question is answered without the service."""
    system = make()
    client = _client(system)
    first = system.run(client.resolve("a@far.test"))
    system.services[1].retire()
    assert system.run(client.resolve("a@far.test"), limit_s=0.2) == first
    client.close()


def test_a_table_change_reaches_the_client(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generation is asked for beside the work, and a new one drops what is remembered."""
    monkeypatch.setattr(client_module, "CHECK_S", 0.0)
    lmdb.write_all(str(tmp_path / "transport.lmdb"), {"far.test": "one:"})
    system = make(transport_maps=f"lmdb:{tmp_path}/transport")
    client = _client(system)
    assert system.run(client.resolve("a@far.test")).transport == "one"
    lmdb.write_all(str(tmp_path / "transport.lmdb"), {"far.test": "two:"})
    system.services[1]._next_poll = 0.0  # type: ignore[attr-defined]  # a second has passed

    async def until_changed() -> None:
        while (await client.resolve("a@far.test")).transport != "two":
            await _pause(system)

    system.run(until_changed())
    client.close()


async def _pause(system: System) -> None:
    future = system.loop.create_future()
    system.loop.call_later(0.01, future.set_result, None)
    await future


@pytest.mark.parametrize("table", ["randmap:{one:, two:}", "proxy:randmap:{one:, two:}", "unix:passwd.byname"])
def test_answers_of_tables_that_do_not_tell_are_not_kept_for_good(
    make: Make, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """A random choice, a database, the name service: the answer is made anew as soon as it may have changed."""
    monkeypatch.setattr(proxy_module, "UNSEEN_S", 0.001)
    monkeypatch.setattr(unix_module, "UNSEEN_S", 0.001)
    monkeypatch.setattr(client_module, "CHECK_S", 0.0)
    system = make(transport_maps=table, proxy_read_maps="proxy:randmap:{one:, two:}")
    client = _client(system)
    system.run(client.resolve("a@far.test"))
    before = client._generation

    async def until_changed() -> None:
        while client._generation == before:
            system.services[1]._next_poll = 0.0  # type: ignore[attr-defined]  # a second has passed
            await client.resolve("a@far.test")
            await _pause(system)

    system.run(until_changed())
    client.close()


def test_the_cache_is_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """In number and in size; what is not kept is asked again."""
    monkeypatch.setattr(client_module, "CACHE_SIZE", 10)
    system = make()
    client = _client(system)
    for number in range(25):
        system.run(client.resolve(f"u{number}@far.test"))
        assert len(client._cache) <= 10
    client.forget()
    for number in range(3):
        assert system.run(client.resolve("u" * 512 + f"{number}@far.test")).nexthop == "far.test"
    assert not client._cache
    client.close()


def test_another_process_makes_the_client_forget(make: Make) -> None:
    """It may have read another main.cf: nothing that its predecessor said is kept beside its first answer."""
    system = make()
    client = _client(system)
    system.run(client.resolve("a@far.test"))
    (system.directory / "private/rewrite").unlink()
    system.start(TRIVIAL_REWRITE, "private/rewrite")
    system.services[1].retire()
    system.run(client.resolve("b@far.test"))
    assert [address for address, _, _ in client._cache] == ["b@far.test"]
    client.close()


def test_a_failure_is_not_remembered(make: Make) -> None:
    """The next question is asked again."""
    system = make(relocated_maps="fail:x")
    client = _client(system)
    assert system.run(client.resolve("a@far.test")).flags == FAILED
    assert not client._cache
    client.close()


def test_senders_share_answers_where_they_do_not_matter(make: Make) -> None:
    """Without sender-dependent tables one answer serves all."""
    system = make()
    for matters, count in ((False, 1), (True, 2)):
        client = _client(system, sender_matters=matters)
        for sender in ("a@x.test", "b@x.test"):
            system.run(client.resolve("r@far.test", sender))
        assert len(client._cache) == count
        client.close()


def test_rewriting_as_a_service(make: Make) -> None:
    """For whoever cannot do it itself."""
    system = make()
    client = _client(system)._client
    reply = system.run(_request(client, Rewrite(client.next_id(), "local", ["user", "a@b.test"])))
    assert isinstance(reply, RewriteResult)
    assert reply.addresses == ["user@example.test", "a@b.test"]
    client.close()


async def _request(client: object, request: object) -> object:
    return await client.request(request)  # type: ignore[attr-defined]


def test_clients_move_to_another_process(make: Make) -> None:
    """A retired process closes its idle connections; requests go to its successor."""
    system = make()
    client = _client(system)
    system.run(client.resolve("a@far.test"))
    (system.directory / "private/rewrite").unlink()
    system.start(TRIVIAL_REWRITE, "private/rewrite")
    system.services[1].retire()
    assert system.run(client.resolve("b@far.test")).nexthop == "far.test"
    client.close()


def test_approved_tables_are_served(make: Make) -> None:
    """Those that parameters name with proxy:, for all who ask."""
    system = make(
        virtual_mailbox_maps="proxy:inline:{{a@b.test = box}}, proxy:fail:x",
        local_recipient_maps="proxy:unix:passwd.byname",
    )
    proxy = ProxyClient(system.loop, str(system.directory / "private/proxymap"))
    tables = Opener(system.settings, proxy=proxy)
    table = tables.open("proxy:inline:{{a@b.test = box}}")
    assert system.run(table.lookup("A@B.test")) == "box"
    assert system.run(table.lookup("x@b.test")) is None
    assert str(system.run(tables.open("proxy:unix:passwd.byname").lookup("root"))).startswith("root:")
    with pytest.raises(TableError, match="table lookup problem"):
        system.run(tables.open("proxy:fail:x").lookup("a"))
    proxy.close()


def test_other_tables_are_refused(make: Make) -> None:
    """With a warning that says what to do; a temporary error for the client."""
    system = make(proxy_read_maps="", virtual_mailbox_maps="proxy:inline:{a=b}")
    proxy = ProxyClient(system.loop, str(system.directory / "private/proxymap"))
    with pytest.raises(TableError, match="not configured for this table"):
        system.run(Opener(system.settings, proxy=proxy).open("proxy:environ:x").lookup("HOME"))
    assert system.log.lines[-2:] == [
        'warning: request for unapproved table: "environ:x"',
        "warning: to approve this table for read-only access, list proxy:environ:x in proxy_read_maps",
    ]
    proxy.close()


def test_resolving_through_proxymap(make: Make) -> None:
    """trivial-rewrite asks it for proxy: tables; the request waits, others go on."""
    system = make(transport_maps="proxy:inline:{{far.test = viaproxy:}}")
    client = _client(system)
    answers = system.run(client.resolve_many("", ["a@far.test", "b@example.test"]))
    assert [answer.transport for answer in answers] == ["viaproxy", "local"]
    client.close()
