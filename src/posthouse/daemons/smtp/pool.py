"""Pool: idle sessions, to be used again for the same nexthop or the same address."""

from typing import TypeVar

from posthouse.daemons.smtp.session import Session

Key = TypeVar("Key")


class Pool:
    """The session used last is taken first, so that those too many grow old and close."""

    def __init__(self) -> None:
        self._by_nexthop: dict[str, list[Session]] = {}
        self._by_address: dict[tuple[str, str, int], list[Session]] = {}

    def put(self, session: Session) -> None:
        """Keep a session."""
        if session.nexthop:
            self._by_nexthop.setdefault(session.nexthop, []).append(session)
        self._by_address.setdefault(session.endpoint.key, []).append(session)
        session.keep_idle()

    def take_for_nexthop(self, nexthop: str) -> Session | None:
        """Take a session to the best server of a nexthop."""
        return self._take(self._by_nexthop.get(nexthop))

    def take_for_address(self, key: tuple[str, str, int]) -> Session | None:
        """Take a session to an address (Endpoint.key)."""
        return self._take(self._by_address.get(key))

    def _take(self, sessions: list[Session] | None) -> Session | None:
        while sessions:
            session = sessions[-1]
            self.remove(session)
            if session.reusable:
                return session
            session.take_leave()
        return None

    def remove(self, session: Session) -> None:
        """Take out a session, if it is in there."""
        _remove(self._by_nexthop, session.nexthop, session)
        _remove(self._by_address, session.endpoint.key, session)

    def close(self) -> None:
        """Say QUIT to all."""
        for sessions in list(self._by_address.values()):
            for session in list(sessions):
                self.remove(session)
                session.take_leave()


def _remove(kept: dict[Key, list[Session]], key: Key, session: Session) -> None:
    sessions = kept.get(key)
    if sessions and session in sessions:
        sessions.remove(session)
        if not sessions:
            del kept[key]
