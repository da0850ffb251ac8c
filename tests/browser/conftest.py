"""A scripted heart, gate and scanner that feed a real page server, without a broker; and a real chromium."""

import asyncio
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, sync_playwright

from gating import messages as m
from gating.errors import PeerError
from gating.monitor.app import PageServer, address_of, bind, make_app, page_server, serve
from gating.monitor.hub import Hub
from gating.settings import MonitorSettings

MS = 1_000_000
BLOCK = 20
RATE_HZ = 500.0


@dataclass(frozen=True)
class Said:
    """What the bus would hand over."""

    message: m.Message
    arrived_at_ns: int
    key_id: str | None = "test"


def ecg_uv(since_r_s: float, lead: int) -> int:
    """Draw one beat: P, QRS and T as bumps; leads I, II, V1 differ in size and sign."""
    bumps = ((-0.17, 0.025, 110), (-0.025, 0.008, -90), (0.0, 0.011, 1050), (0.028, 0.010, -240), (0.27, 0.045, 260))
    shape = sum(size * math.exp(-0.5 * ((since_r_s - at) / width) ** 2) for at, width, size in bumps)
    return round((0.65, 1.0, -0.75)[lead] * shape)


@dataclass
class Story:
    """What happens now; a test changes it while the page looks."""

    make_status: Callable[..., m.ScannerStatus]
    rr_ms: float = 1000.0
    playing: bool = True  # False: nothing comes any more
    scanning: bool = False
    armed: bool = False
    learning: bool = False
    lead_off: bool = False
    fates: tuple[str, ...] = ("exposed", "moving", "exposed", "moving", "held", "missed", "exposed", "moving")
    sent: list[m.OperatorRequest] = field(default_factory=list)
    broker_gone: bool = False
    said: dict[str, int] = field(default_factory=dict)

    def begin(self, hub: Hub) -> None:
        """Start at an R-peak that lies a little ahead."""
        self.hub = hub
        self.hub.link(True, "Connected.")
        self.origin_ns = time.monotonic_ns() + 300 * MS
        self.hold_ns: int | None = None
        self.sample_ns = time.monotonic_ns()
        self.sequence = 0
        self.beat = -3
        self.done: list[int] = []
        self.todo: list[tuple[int, Callable[[], m.Message]]] = []

    def say(self, message: m.Message) -> None:
        """Let the hub hear one message."""
        self.hub.hear(Said(message, time.monotonic_ns()))

    def step(self, now_ns: int) -> None:
        """Say all that is due by now."""
        while self.sample_ns + BLOCK * 2 * MS <= now_ns:
            if self.playing:
                self.say(self.block(self.sample_ns))
            self.sample_ns += BLOCK * 2 * MS
        if not self.playing:
            return
        while self.r_ns(self.beat + 1) <= now_ns:
            self.beat += 1
            self.plan_beat(self.beat)
        due = [entry for entry in self.todo if entry[0] <= now_ns]
        self.todo = [entry for entry in self.todo if entry[0] > now_ns]
        for _, make in due:
            self.say(make())
        if self.sequence % 6 == 0:
            self.say(self.gate_status(now_ns))
            self.say(self.scanner_status(now_ns))

    def rehearse(self, now_ns: int) -> None:
        """Answer as a gate would, after 3 s instead of 18."""
        until_ns = now_ns + 3000 * MS
        self.say(m.RehearsalReport(at_ns=now_ns, running_until_ns=until_ns))
        seven = m.Span(median=7.0, low=7.0, high=8.0)
        answer = m.RehearsalReport(
            at_ns=until_ns, advice="go",
            reasons=("7 beats in a breath-hold of 11 s (10 to 12)", "97 % of the slabs at rest"),
            held_s=18.0, rate_before_bpm=64.0, rate_held_bpm=60.0, settle_s=3.0, drift_bpm_per_10_s=-1.2,
            spread_ms=12.0, beats=18, ectopic=1, rejected=0,
            forecast=m.Forecast(
                policy="least_blur_dose", phase="diastole", draws=1000, complete=1.0, motion_free=0.94,
                rate_bpm=m.Span(median=60.0, low=58.0, high=62.0),
                rate_spread_bpm=m.Span(median=1.0, low=0.5, high=1.6),
                beats=seven, breath_hold_s=m.Span(median=10.8, low=10.1, high=12.4),
                at_rest=m.Span(median=1.0, low=0.75, high=1.0), mean_at_rest=0.97,
                rejected=m.Span(median=0.0, low=0.0, high=1.0), dose_msv=m.Span(median=0.9, low=0.9, high=0.95),
                padding_ms=0.0,
            ),
        )  # fmt: skip
        self.todo.append((until_ns, lambda: answer))

    def r_ns(self, beat: int) -> int:
        """Tell when a beat's R is."""
        return self.origin_ns + round(beat * self.rr_ms * MS)

    def block(self, first_ns: int) -> m.EcgBlock:
        """Draw one block."""
        self.sequence += 1
        rows = []
        for lead in range(3):
            row = []
            for i in range(BLOCK):
                at_ns = first_ns + i * 2 * MS
                beat = round((at_ns - self.origin_ns) / (self.rr_ms * MS))
                near = min((abs(at_ns - self.r_ns(b)), b) for b in (beat - 1, beat, beat + 1))[1]
                hum = 900 * math.sin(at_ns / 1e9 * 2 * math.pi * 50) if self.lead_off and lead < 2 else 0
                value = sum(ecg_uv((at_ns - self.r_ns(b)) / 1e9, lead) for b in (near - 1, near, near + 1))
                row.append(round(hum) if self.lead_off and lead < 2 else value + 4000)
            rows.append(tuple(row))
        off = ("RA",) if self.lead_off else ()
        return m.EcgBlock(
            first_at_ns=first_ns, rate_hz=RATE_HZ, leads=("I", "II", "V1"), microvolts=tuple(rows),
            electrodes_off=off, sequence=self.sequence,
        )  # fmt: skip

    def gate_status(self, now_ns: int) -> m.GateStatus:
        """Say the gate's word."""
        advice: m.Advice = "no-go" if self.lead_off else "wait" if self.learning else "go"
        reasons = ("lead RA off",) if self.lead_off else ("learning the rhythm: 3 of 8 beats",) if self.learning else ()
        leads = tuple(
            m.LeadStatus(lead=lead, trusted=not self.lead_off, reason="RA off" if self.lead_off else None)
            for lead in ("I", "II", "V1")
        )
        known = not self.lead_off and not self.learning
        return m.GateStatus(
            at_ns=now_ns, boot="b1", state="armed" if self.armed else "ready", advice=advice, reasons=reasons,
            leads=leads, best_lead=None if self.lead_off else "II", source="healthypi6", simulated=True,
            patient_safe=False, sample_age_ms=18.0, heart_rate_bpm=60_000 / self.rr_ms if known else None,
            rr_interval_ms=self.rr_ms if known else None, steadiness="steady" if known else "unknown", crc_errors=0,
            lost_samples=0, session="s1" if self.armed else None, hold_began_at_ns=None,
        )  # fmt: skip

    def scanner_status(self, now_ns: int) -> m.ScannerStatus:
        """Say the bridge's word."""
        done = tuple(self.done)
        if self.scanning and self.hold_ns is None:
            self.hold_ns = now_ns - 3_000 * MS
        step = len(done) if len(done) < 4 else None
        state: m.SessionState = "disarmed"
        if self.armed:
            state = (
                "complete" if step is None else "inhibited" if self.lead_off else "booked" if self.scanning else "armed"
            )
        return self.make_status(
            at_ns=now_ns, state=state, reasons=("lead RA off",) if state == "inhibited" else (),
            next_step=step, next_attempt=None if step is None else 1, steps_exposed=done,
            effective_msv=0.26 * len(done), ctdivol_mgy=4.6 * len(done), dlp_mgycm=18.4 * len(done),
            hold_began_at_ns=self.hold_ns, refused={"replayed": 1} if done else {},
        )  # fmt: skip

    def plan_beat(self, beat: int) -> None:
        """Plan what is said about one beat, and about its window if the scan runs."""
        r = self.r_ns(beat)
        if self.lead_off:
            return
        for stage, after in (("provisional", 35), ("confirmed", 95)):
            self.todo.append((r + after * MS, lambda stage=stage: self.beat_message(beat, stage)))  # type: ignore[misc]  # mypy cannot infer a lambda's default
        rhythm = m.Rhythm(
            at_ns=r, steadiness="steady", beats=8, heart_rate_bpm=60.0, mean_rr_ms=self.rr_ms, sd_rr_ms=14.0,
            range_bpm=3.0, premature=0, advice="go", reasons=(),
        )  # fmt: skip
        self.todo.append((r + 95 * MS, lambda: rhythm))
        fate = self.fates[beat % len(self.fates)]
        if not self.scanning or fate == "moving" or len(self.done) >= 4:
            return
        trigger = self.trigger(beat, len(self.done))
        self.todo.append((r + 120 * MS, lambda: trigger))
        self.todo.append((r + 150 * MS, lambda: self.answer(trigger)))
        if fate == "held":
            cancel = m.Cancel(
                session="s1", nonce="n1", sequence=trigger.sequence + 1, beat=trigger.beat, reasons=("premature beat",),
                at_ns=trigger.opens_at_ns - 100 * MS,
            )  # fmt: skip
            self.todo.append((cancel.at_ns, lambda: cancel))
            return
        self.todo.append((trigger.closes_at_ns + 20 * MS, lambda: self.report(trigger, fate)))

    def beat_message(self, beat: int, stage: m.BeatStage) -> m.Beat:
        """Say an R-peak."""
        return m.Beat(
            number=beat + 10, stage=stage, r_at_ns=self.r_ns(beat), uncertainty_ns=MS, beat_kind="normal",
            confidence=0.99, lead="II", rr_interval_ms=self.rr_ms, sample_arrived_at_ns=0, decided_at_ns=0,
        )  # fmt: skip

    def trigger(self, beat: int, step: int) -> m.Trigger:
        """Book a window of 196 ms around 75 % of the beat."""
        r = self.r_ns(beat)
        centre = r + round(0.74 * self.rr_ms * MS)
        return m.Trigger(
            session="s1", nonce="n1", sequence=100 + 10 * beat, plan_hash="p", beat=beat + 10, step=step, attempt=1,
            r_at_ns=r, opens_at_ns=centre - 98 * MS, closes_at_ns=centre + 98 * MS, centre_at_ns=centre,
            latest_open_at_ns=centre - 93 * MS, expires_at_ns=centre - 118 * MS, phase="diastole",
            predicted_rr_ms=self.rr_ms, predicted_rr_low_ms=self.rr_ms - 30, predicted_rr_high_ms=self.rr_ms + 30,
            padding_ms=0.0, reasons=(), sample_arrived_at_ns=r + 100 * MS, issued_at_ns=r + 120 * MS,
        )  # fmt: skip

    def answer(self, trigger: m.Trigger) -> m.TriggerAnswer:
        """Accept it."""
        return m.TriggerAnswer(
            session="s1", sequence=trigger.sequence, beat=trigger.beat, step=trigger.step, attempt=1,
            accepted_at_ns=trigger.issued_at_ns + 5 * MS, reasons=(), at_ns=trigger.issued_at_ns + 5 * MS,
        )  # fmt: skip

    def report(self, trigger: m.Trigger, outcome: str) -> m.ExposureReport:
        """Tell what the scanner did."""
        beam = outcome == "exposed"
        if beam:
            self.done.append(trigger.step)
        return m.ExposureReport(
            session="s1", sequence=trigger.sequence, beat=trigger.beat, step=trigger.step, attempt=1,
            outcome="exposed" if beam else "missed", reasons=() if beam else ("table not settled",),
            planned_open_at_ns=trigger.opens_at_ns, planned_close_at_ns=trigger.closes_at_ns,
            opened_at_ns=trigger.opens_at_ns if beam else None, closed_at_ns=trigger.closes_at_ns if beam else None,
            table_mm=0.0, start_angle_deg=0.0, at_ns=trigger.closes_at_ns,
        )  # fmt: skip


@dataclass
class Stage:
    """A page server with a story behind it, in a thread of its own."""

    story: Story
    address: str
    stop: Callable[[], None]


@pytest.fixture
def stage(make_status: Callable[..., m.ScannerStatus]) -> Iterator[Stage]:
    """Serve the page, fed by a story, until the test ends."""
    story = Story(make_status)
    settings = MonitorSettings(port=0)
    listener = bind(settings)
    hub = Hub("test-site", time.monotonic_ns)

    async def publish(request: m.OperatorRequest) -> None:
        """Stand in for the bus."""
        if story.broker_gone:
            raise PeerError("No connection to the MQTT broker, so nothing was sent; is it running?")
        story.sent.append(request)
        if request.request == "rehearse":
            story.rehearse(time.monotonic_ns())

    async def tell() -> None:
        """Tell the story as time goes on."""
        story.begin(hub)
        while True:
            story.step(time.monotonic_ns())
            await asyncio.sleep(0.01)

    servers: list[PageServer] = []

    def work() -> None:
        server = page_server(make_app(hub, publish, settings))
        servers.append(server)
        asyncio.run(serve(server, listener, hub.run(), tell()))

    address = address_of(listener)
    thread = threading.Thread(target=work, name="page server")
    thread.start()

    def stop() -> None:
        for server in servers:
            server.should_exit = True
        thread.join(10)

    yield Stage(story, address, stop)
    stop()
    listener.close()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real chromium, or a skip."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on the path (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()
