"""Watcher: makes a step of every restriction that smtpd(8)'s own code evaluates (Observer of access/environment.py)."""

from dataclasses import dataclass
from typing import Final

from posthouse.commands.explain.model import Step
from posthouse.commands.explain.neighbours import NotAskedError, TellingResolver
from posthouse.commands.explain.record import Recorder
from posthouse.commands.explain.words import class_of
from posthouse.daemons.smtpd.access.check import Check, Rule, Verdict
from posthouse.daemons.smtpd.access.environment import Named
from posthouse.daemons.smtpd.access.names import NOT_BUILT, NOT_BUILT_WITH_ARGUMENT
from posthouse.protocol.smtp.replies import Reply

NOT_REACHED: Final = "not reached"
NOT_ASKED: Final = "NOT ASKED"
DUNNO, PERMITTED = "DUNNO", "PERMIT"
BROKEN: Final = "not built yet, so it is answered with "
ABSENT: Final = NOT_BUILT | NOT_BUILT_WITH_ARGUMENT


def word_of(verdict: Verdict) -> str:
    """Give PERMIT, REJECT, DEFER or DUNNO."""
    if isinstance(verdict, Reply):
        return "REJECT" if verdict.code >= 500 else "DEFER"
    return DUNNO if verdict is None else PERMITTED


@dataclass(slots=True)
class _Before:
    """What a restriction may change besides giving its verdict."""

    permit: object
    reject: object
    actions: int


class Watcher:
    """One for a session. `begin` starts a command; `steps` are then its lists with their restrictions."""

    def __init__(self, recorder: Recorder, resolver: TellingResolver) -> None:
        self._recorder = recorder
        self._resolver = resolver
        self._written: dict[str, list[Named]] = {}
        self._open: list[Step] = []  # restrictions being evaluated, outermost first
        self.steps: list[Step] = []
        self.not_asked: list[str] = []
        self.written: list[Named] = []  # everything that was compiled

    def watch(self, named: Named, rule: Rule) -> Rule:
        """Stand in for a restriction."""
        self._written.setdefault(named.where, []).append(named)
        self.written.append(named)

        async def watched(check: Check) -> Verdict:
            return await self._evaluate(named, rule, check)

        return watched

    def begin(self) -> None:
        """A command comes."""
        self._recorder.take_lookups()
        self._resolver.take()
        self.steps = []

    def finish(self, plan: list[str]) -> list[Step]:
        """Give the command's lists, with what was not reached."""
        steps = self.steps
        asked = {step.name for step in steps}
        if steps:  # else nobody was asked at all: postmaster, or a command that was wrong
            steps += [Step("list", name, result=NOT_REACHED) for name in plan if name not in asked]
        for step in steps:
            for named in self._written.get(step.name, [])[len(step.steps) :]:
                step.steps.append(Step("restriction", _written(named), named.argument, NOT_REACHED))
        return steps

    async def _evaluate(self, named: Named, rule: Rule, check: Check) -> Verdict:
        step = Step("restriction", _written(named), named.argument)
        parent = self._parent(named)
        parent.steps.append(step)
        before = _Before(check.defer_if_permit, check.defer_if_reject, len(check.actions))
        self._open.append(step)
        verdict: Verdict = None
        try:
            verdict = await self._ask(named, rule, check, step)
        except NotAskedError as error:
            step.result, step.text = NOT_ASKED, f"needs DNS: {error}"
            self.not_asked.append(str(error))
        finally:
            self._open.pop()
            self._gather(step)
        self._tell(step, named, verdict, check, before)
        if parent.kind == "list":
            parent.result = word_of(verdict)
        return verdict

    async def _ask(self, named: Named, rule: Rule, check: Check, step: Step) -> Verdict:
        if named.name.lower() == "sleep":
            step.text = f"would wait {named.argument} seconds"
            return None
        return await rule(check)

    def _parent(self, named: Named) -> Step:
        if self._open:
            self._gather(self._open[-1])
            return self._open[-1]
        if not self.steps or self.steps[-1].name != named.where:
            self.steps.append(Step("list", named.where, result=DUNNO))
        return self.steps[-1]

    def _gather(self, step: Step) -> None:
        step.lookups += self._recorder.take_lookups()
        step.log += self._recorder.take_log()
        for address, resolved in self._resolver.take():
            text = f"{resolved.transport}:{resolved.nexthop}"
            step.steps.append(Step("resolve", "trivial-rewrite", address, class_of(resolved.flags), text))

    def _tell(self, step: Step, named: Named, verdict: Verdict, check: Check, before: _Before) -> None:
        step.result = step.result or word_of(verdict)
        if isinstance(verdict, Reply):
            step.text = str(verdict)
        elif check.defer_if_permit is not before.permit and check.defer_if_permit is not None:
            step.result, step.text = "DEFER_IF_PERMIT", str(check.defer_if_permit.reply)
        elif check.defer_if_reject is not before.reject and check.defer_if_reject is not None:
            step.result, step.text = "DEFER_IF_REJECT", str(check.defer_if_reject.reply)
        for action, argument in check.actions[before.actions :]:
            step.steps.append(Step("action", action, argument))
        if named.name.lower() in ABSENT:
            step.text = f"{BROKEN}{step.text}"


def _written(named: Named) -> str:
    return f"warn_if_reject {named.name}" if named.warns else named.name
