"""The operator's client against a bridge of a few lines: armed, declined, followed to the end."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gating.errors import PeerError
from gating.io.bus import Bus, Heard
from gating.io.operator import WORDS, Declined, Operator, dose_sentence, plan_sentence
from gating.messages import AcquisitionPlan, Armed, BreathHold, Message, OperatorRequest, ScannerStatus
from gating.settings import KeySettings, MqttSettings, SiteSettings


@dataclass
class FakeBridge:
    """Says its status every 20 ms, spends a challenge per request, and grants or declines as told."""

    bus: Bus
    status: ScannerStatus
    armed: Armed
    decline: list[str] = field(default_factory=list)  # one reason per request, then granted
    requests: list[OperatorRequest] = field(default_factory=list)
    deaf: bool = False
    ended: bool = False  # Python 3.11 may lose a cancellation that comes as a publish is acknowledged

    async def run(self) -> None:
        """Say the status until cancelled; a broker that goes away is the tests' doing."""
        link = asyncio.ensure_future(self.bus.run(self.hear, lambda *_: None))
        try:
            while not self.ended:
                if self.bus.connected:
                    await self.say(self.status)
                await asyncio.sleep(0.02)
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)

    async def say(self, *messages: Message) -> None:
        """Publish messages."""
        for message in messages:
            await self.bus.publish(message)

    def change(self, **changes: Any) -> None:
        """Change the status."""
        self.status = msgspec.structs.replace(self.status, **changes)

    def hear(self, one: object) -> None:
        """Grant or decline a request."""
        assert isinstance(one, Heard) and isinstance(one.message, OperatorRequest)
        request = one.message
        if self.deaf:
            return
        self.requests.append(request)
        reason = "wrong-challenge" if request.challenge != self.status.challenge else None
        if reason is None and self.decline:
            reason = self.decline.pop(0)
        if reason is not None:
            self.change(refused={**self.status.refused, reason: self.status.refused.get(reason, 0) + 1})
            return
        self.change(challenge=f"{self.status.challenge}+")
        match request.request:
            case "arm" | "resume":
                self.change(state="armed", session="s1")
                self.task = asyncio.ensure_future(self.say(self.armed, self.status))
            case "begin-hold":
                hold = BreathHold(session="s1", began_at_ns=1, limit_s=20.0)
                self.task = asyncio.ensure_future(self.say(hold))
            case _:
                self.change(state="disarmed", session=None)


@pytest.fixture
def site(embedded: Any, key_folder: Path, request: pytest.FixtureRequest) -> SiteSettings:
    """A site of each test's own on the shared broker."""
    return SiteSettings(
        site=request.node.name[:60],
        mqtt=MqttSettings(port=embedded.port),
        keys=KeySettings(folder=str(key_folder)),
    )


@pytest.fixture
def play(
    site: SiteSettings, make_bus: Callable[..., Any], make_status: Callable[..., ScannerStatus], an_armed: Armed
) -> Callable[..., None]:
    """Run a scenario with a bridge and an operator."""

    def run(scenario: Callable[[FakeBridge, Operator], Coroutine[Any, Any, None]], **changes: Any) -> None:
        """Run it on a fresh event loop."""

        async def whole() -> None:
            """Build both, play, take down."""
            bus = make_bus("bridge", site.mqtt.port, OperatorRequest, site=site.site)
            status = make_status(**({"state": "disarmed", "session": None} | changes))
            bridge = FakeBridge(bus, status, an_armed)
            task = asyncio.ensure_future(bridge.run())
            try:
                async with Operator(site, name="AB") as operator:
                    await scenario(bridge, operator)
            finally:
                bridge.ended = True
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(whole())

    return run


@pytest.mark.processes
def test_arming_and_the_breath_hold_use_the_latest_challenge_each(play: Callable[..., None]) -> None:
    """The plan's hash goes along; the person's name too."""

    async def scenario(bridge: FakeBridge, operator: Operator) -> None:
        """Play it."""
        assert isinstance(await operator.arm(), Armed)
        hold = await operator.begin_hold()
        assert isinstance(hold, BreathHold)
        assert [("arm", "c"), ("begin-hold", "c+")] == [(one.request, one.challenge) for one in bridge.requests]
        assert {(bridge.status.plan_hash, "AB")} == {(one.plan_hash, one.name) for one in bridge.requests}

    play(scenario)


@pytest.mark.processes
def test_resume_is_a_request_of_its_own(play: Callable[..., None]) -> None:
    """It is answered by Armed as well."""

    async def scenario(bridge: FakeBridge, operator: Operator) -> None:
        """Play it."""
        assert isinstance(await operator.arm(resume=True), Armed)
        assert ["resume"] == [one.request for one in bridge.requests]

    play(scenario)


@pytest.mark.processes
def test_a_refusal_comes_back_with_its_reason_and_a_cure(play: Callable[..., None]) -> None:
    """Also when the same reason was counted before."""

    async def scenario(bridge: FakeBridge, operator: Operator) -> None:
        """Play it."""
        bridge.decline = ["no-gate", "no-gate"]
        for _ in range(2):
            declined = await operator.arm()
            assert Declined(("no-gate",)) == declined
            assert isinstance(declined, Declined) and "start `diastole gate`" in declined.text

    play(scenario, refused={"no-gate": 3, "expired": 1})


@pytest.mark.processes
def test_a_challenge_spent_by_another_is_asked_for_once_more(play: Callable[..., None]) -> None:
    """The second try carries the new one."""

    async def scenario(bridge: FakeBridge, operator: Operator) -> None:
        """Play it."""
        await operator.scanner()
        bridge.change(challenge="somebody was faster")
        assert isinstance(await operator.arm(), Armed)
        assert 2 >= len(bridge.requests)

    play(scenario)


@pytest.mark.processes
def test_a_bridge_that_does_not_answer_is_told_as_such(play: Callable[..., None]) -> None:
    """After the given time, and as a refusal."""

    async def scenario(bridge: FakeBridge, operator: Operator) -> None:
        """Play it."""
        bridge.deaf = True
        assert Declined(("no-answer",)) == await operator.arm(seconds=0.3)

    play(scenario)


@pytest.mark.processes
def test_follow_gives_the_session_up_to_its_end(play: Callable[..., None]) -> None:
    """And stops at rest."""

    async def scenario(bridge: FakeBridge, operator: Operator) -> None:
        """Play it."""
        await operator.arm()
        seen = []
        async for message in operator.follow():
            seen.append(message)
            bridge.change(state="complete", session=None)
        assert isinstance(seen[-1], ScannerStatus) and "complete" == seen[-1].state
        assert "armed" in {message.state for message in seen if isinstance(message, ScannerStatus)}

    play(scenario)


@pytest.mark.processes
def test_disarm_waits_until_the_bridge_is_at_rest(play: Callable[..., None]) -> None:
    """And gives its last status."""

    async def scenario(bridge: FakeBridge, operator: Operator) -> None:
        """Play it."""
        await operator.arm()
        end = await operator.disarm()
        assert isinstance(end, ScannerStatus) and "disarmed" == end.state

    play(scenario)


@pytest.mark.processes
def test_without_a_bridge_the_cure_is_named(site: SiteSettings) -> None:
    """And a bridge that falls silent while followed is told too."""

    async def scenario() -> None:
        """Play it."""
        async with Operator(site) as operator:
            with pytest.raises(PeerError, match="start `diastole bridge`"):
                await operator.scanner(0.2)
            with pytest.raises(PeerError, match="fell silent"):
                async for _ in operator.follow(0.2):
                    pass

    asyncio.run(scenario())


def test_without_a_broker_the_cure_is_named(key_folder: Path) -> None:
    """At once, by the context manager."""
    site = SiteSettings(site="x", mqtt=MqttSettings(port=1), keys=KeySettings(folder=str(key_folder)))

    async def scenario() -> None:
        """Play it."""
        async with Operator(site):
            raise AssertionError("there is no broker")

    began = time.monotonic()
    with pytest.raises(PeerError, match="No MQTT broker answers"):
        asyncio.run(scenario())
    assert time.monotonic() - began < 2


def test_plan_and_dose_are_told_in_a_sentence(
    a_plan: AcquisitionPlan, make_status: Callable[..., ScannerStatus]
) -> None:
    """Steps, slices, tube, dose; and afterwards what is missing."""
    assert (
        "Plan test: 4 steps under 40 mm, 48 slices of 3 mm at 120 kV and 290 mA; CTDIvol 3.92 mGy, "
        "DLP 62.7 mGy cm (no reference level is set); about 0.88 mSv, at most 3 mSv." == plan_sentence(a_plan)
    )
    status = make_status(steps_exposed=(0, 2), effective_msv=0.44, ctdivol_mgy=7.84, dlp_mgycm=31.36)
    assert (
        "2 of 4 steps exposed, steps 2, 4 missing; delivered CTDIvol 7.84 mGy, DLP 31.4 mGy cm, 0.44 mSv."
        == dose_sentence(status)
    )


def test_the_scout_and_the_reference_level_stand_in_the_sentence(a_plan: AcquisitionPlan) -> None:
    """DLP 62.7 and 4.3 for the scout are 67 % of a reference level of 100, and 0.94 mSv."""
    plan = msgspec.structs.replace(a_plan, scout_dlp_mgycm=4.3, reference_dlp_mgycm=100.0)
    sentence = plan_sentence(plan)
    assert "DLP 67.0 mGy cm, 4.3 of them for the scout (67 % of the reference level 100); about 0.94 mSv" in sentence


def test_unknown_reasons_are_shown_as_they_are() -> None:
    """A newer bridge's reason is not hidden."""
    assert f"{WORDS['clock']}; moon-phase" == Declined(("clock", "moon-phase")).text
