"""What a comparison is made of: a scenario's drawn patients, a recorded heart, or the heart that a journal tells of."""

from collections.abc import Sequence
from pathlib import Path

from gating.errors import RecordError, SettingsError
from gating.io.journal import read_journal
from gating.io.records import read_record
from gating.messages import Beat, BreathHold
from simulators.comparison import Case, recorded_cases, same_heart_cases, scenario_cases
from simulators.heart import TrueBeat, recorded_beats
from simulators.io.scenarios import load_scenario, scenario_names
from simulators.scenario import Scenario

JOURNAL_SUFFIX = ".jsonl"
SCENARIO_SUFFIXES = (".toml", ".json")


def read_cases(target: str, seeds: Sequence[int], spread: float) -> tuple[tuple[Case, ...], Scenario | None]:
    """Make the cases of a scenario (by name or file), a journal or an annotated record; and the scenario, if it is one.

    Raises
    ------
    SettingsError
        If there is no such thing, or it is too short.
    RecordError
        If a record or journal is damaged, or has no beats.
    """
    path = Path(target)
    if target in scenario_names() or path.suffix in SCENARIO_SUFFIXES:
        scenario = load_scenario(target)
        return scenario_cases(scenario, seeds, spread), scenario
    if path.suffix == JOURNAL_SUFFIX:
        beats, hold_begins_at_s = journal_beats(path)
        return same_heart_cases(path.name, beats, hold_begins_at_s, seeds, spread), None
    if path.suffix.lower() != ".csv" and not path.with_name(f"{path.name.removesuffix('.hea')}.hea").is_file():
        raise SettingsError(
            f"There is no scenario, record or journal {target!r}; name one of {', '.join(scenario_names())}, a TOML "
            "file, a WFDB record, a .csv file, or a gate's *.journal.jsonl."
        )
    record = read_record(path)
    if record.beats is None:
        raise RecordError(f"The record {record.name} has no annotated beats; compare needs them (.atr, or `beat`).")
    at_s = (record.beats.sample / record.rate_hz).tolist()
    return recorded_cases(record.name, recorded_beats(at_s, record.beats.symbols), seeds, spread), None


def journal_beats(path: Path) -> tuple[tuple[TrueBeat, ...], float]:
    """Give the confirmed beats of a journal, in seconds from a second before the first, and when the last hold began.

    Raises
    ------
    RecordError
        If it is no journal, or tells of no confirmed beat or no breath-hold.
    """
    r_at_ns: list[int] = []
    began_at_ns: int | None = None
    _, lines = read_journal(path)
    for line in lines:
        if isinstance(line.message, BreathHold) and line.message.ended_at_ns is None:
            began_at_ns = line.message.began_at_ns
        r_at_ns += [one.r_at_ns for one in line.out if isinstance(one, Beat) and one.stage == "confirmed"]
    if began_at_ns is None or not r_at_ns:
        missing = "breath-hold" if began_at_ns is None else "confirmed beat"
        raise RecordError(f"The journal {path} tells of no {missing}; take the journal of a whole scan.")
    zero_ns = r_at_ns[0] - 1_000_000_000
    beats = tuple(TrueBeat(number, (at - zero_ns) / 1e9, "normal") for number, at in enumerate(r_at_ns, start=1))
    return beats, (began_at_ns - zero_ns) / 1e9
