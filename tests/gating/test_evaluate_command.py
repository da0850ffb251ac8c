"""`diastole evaluate` as a person types it: tables, JSON, events, noise, peers, pictures, and what is refused."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from diastole import main
from gating.errors import SettingsError
from gating.io import peers
from gating.io.evaluate import Job, decide, prepared, run_record
from gating.io.peers import peers_named, run_peer

wfdb = pytest.importorskip("wfdb", reason="reading and writing records needs the extra `records`")

RATE_HZ = 250.0
SECONDS = 90
LEADS = {"II": 1.0, "V1": -0.6, "V5": 1.3}
WAVES = ((-0.17, 0.12, 0.025), (-0.03, -0.1, 0.010), (0.0, 1.2, 0.011), (0.03, -0.25, 0.011), (0.27, 0.3, 0.06))


def write_record(folder: Path, name: str, seed: int, *, annotated: bool = True) -> Path:
    """Write a synthetic patient of 90 s in three leads at 250 Hz, with beats; gives the record's path."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    beats_s = np.cumsum(0.85 + 0.04 * rng.standard_normal(SECONDS))
    beats_s = beats_s[beats_s < SECONDS - 0.5]
    one = np.zeros(len(times_s))
    for at_s, height_mv, width_s in WAVES:
        for beat_s in beats_s:
            one += height_mv * np.exp(-0.5 * ((times_s - beat_s - at_s) / width_s) ** 2)
    millivolts = one[:, None] * np.array(list(LEADS.values())) + 0.01 * rng.standard_normal((len(times_s), len(LEADS)))
    folder.mkdir(exist_ok=True, parents=True)
    wfdb.wrsamp(name, RATE_HZ, ["mV"] * 3, list(LEADS), millivolts, fmt=["16"] * 3, write_dir=str(folder))
    if annotated:
        sample = np.rint(beats_s * RATE_HZ).astype(int)
        wfdb.wrann(name, "atr", sample, ["N"] * len(sample), fs=RATE_HZ, write_dir=str(folder))
    return folder / name


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a file of events."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two annotated records and one without annotations, and noise beside it."""
    folder = tmp_path_factory.mktemp("ecg") / "made"
    write_record(folder, "a1", 1)
    write_record(folder, "a2", 2)
    write_record(folder, "bare", 3, annotated=False)
    noise = np.random.default_rng(4).normal(size=(40 * 360, 2)).cumsum(axis=0) / 30.0
    (folder.parent / "nstdb").mkdir()
    wfdb.wrsamp("ma", 360, ["mV"] * 2, ["n1", "n2"], noise, fmt=["16"] * 2, write_dir=str(folder.parent / "nstdb"))
    return folder


def test_a_folder_is_scored_on_the_table_and_as_json(
    patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clean synthetic beats are all found; the figures stand per record, gross and average; short records say so."""
    out = tmp_path / "evaluation.json"
    assert 0 == main(["evaluate", str(patients), "--json", str(out), "--jobs", "1"])
    said = capsys.readouterr()
    assert "" == said.err
    for word in ("2 records", "a1", "a2", "gross", "average", "Confirmed beats", "shorter than two learning periods"):
        assert word in said.out
    assert "…" not in said.out
    report = json.loads(out.read_text())
    run = report["runs"][0]
    assert ["a1", "a2"] == [one["name"] for one in run["records"]]
    assert [10.0, 10.0] == [one["scored_from_s"] for one in run["records"]]
    for stage in ("provisional", "confirmed"):
        figures = run["gross"][stage]
        assert [8.0, 16.0, 32.0, 64.0, 100.0, 150.0] == [one["tolerance_ms"] for one in figures["tolerances"]]
        assert (0, 0) == (figures["counts"]["fn"], figures["counts"]["fp"])
        assert figures["beats"] == sum(one["scores"][stage]["beats"] for one in run["records"])
        assert figures["error"]["p95_abs_ms"] <= 8.0
        assert 100.0 == run["average"][stage]["se_percent"]
    assert run["gross"]["provisional"]["delay"]["median_ms"] < run["gross"]["confirmed"]["delay"]["median_ms"]


def test_the_events_are_one_row_a_decision_and_always_the_same(patients: Path, tmp_path: Path) -> None:
    """Five columns for one record; two processes and a second run write the same bytes."""
    first, second, both, again = (tmp_path / f"{name}.csv" for name in ("1", "2", "3", "4"))
    for path in (first, second):
        assert 0 == main(["evaluate", str(patients / "a1.hea"), "--events", str(path)])
    assert first.read_bytes() == second.read_bytes()
    rows = rows_of(first)
    assert ["r_sample", "kind", "emitted_sample", "trust", "armed"] == list(rows[0])
    assert {"provisional", "confirmed"} <= {row["kind"] for row in rows} <= {"provisional", "confirmed", "withdrawn"}
    assert {"true", "false"} >= {row["armed"] for row in rows}
    assert {"confirmed"} == {row["kind"] for row in rows if row["armed"] == "true"}
    assert all(float(row["emitted_sample"]) >= float(row["r_sample"]) for row in rows)
    assert all(0.0 <= float(row["trust"]) <= 1.0 for row in rows)
    for path, jobs in ((both, "2"), (again, "1")):
        assert 0 == main(["evaluate", str(patients), "--events", str(path), "--jobs", jobs])
    assert both.read_bytes() == again.read_bytes()
    assert ["a1", "a2"] == sorted({row["record"] for row in rows_of(both)})


def test_no_decision_uses_a_sample_after_the_one_that_decided(patients: Path) -> None:
    """Cut right behind the block of a decision, the recording gives all decisions up to it."""
    record, *_ = prepared(Job(str(patients / "a1")))
    whole = list(decide(record.microvolts, record.leads, record.rate_hz))
    for place in (3, 40, len(whole) // 2, len(whole) - 2):
        block = round(0.02 * RATE_HZ)
        end = (round(whole[place].emitted_sample) // block + 1) * block
        part = list(decide(record.microvolts[:end], record.leads, record.rate_hz))
        assert whole[: place + 1] == part[: place + 1]


def test_leads_are_chosen_by_name_or_number(patients: Path) -> None:
    """The first signal alone, a list, a name; each once, in the order asked for."""
    for wanted, names in (("0", ("II",)), ("2,II", ("V5", "II")), ("V1", ("V1",)), ("0,II", ("II",))):
        assert names == prepared(Job(str(patients / "a1"), leads=wanted))[0].leads
    assert ("II", "V1", "V5") == prepared(Job(str(patients / "a1"), leads="all"))[0].leads


def test_a_csv_with_a_column_of_beats_is_scored(patients: Path, tmp_path: Path) -> None:
    """As the record that it was made from."""
    record, beats, *_ = prepared(Job(str(patients / "a1"), leads="0"))
    marks = set(beats.sample.tolist())
    rows = [f"{n * 4},{v:.3f},{'N' if n in marks else ''}" for n, v in enumerate(record.microvolts[:, 0])]
    (tmp_path / "p.csv").write_text("\n".join(["time_ms,II_uV,beat", *rows]) + "\n")
    run = run_record(Job(str(tmp_path / "p.csv")))
    assert len(run.confirmed.beat_sample) == len(run_record(Job(str(patients / "a1"), "0")).confirmed.beat_sample)
    assert not np.isnan(run.confirmed.beat_error_ms).any()


def test_noise_is_found_beside_the_folder_and_makes_one_table_a_ratio(
    patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ratios are two runs and one table; the louder noise costs; the events name the ratio."""
    monkeypatch.delenv("DIASTOLE_ECG_DATA", raising=False)
    out, events = tmp_path / "n.json", tmp_path / "n.csv"
    command = ["evaluate", str(patients / "a1"), "--noise", "ma", "--snr", "30,-6", "--json", str(out)]
    assert 0 == main([*command, "--events", str(events), "--jobs", "1"])
    assert "Noise ma" in capsys.readouterr().out
    loud = {run["snr_db"]: run["gross"]["confirmed"]["counts"] for run in json.loads(out.read_text())["runs"]}
    assert [30.0, -6.0] == list(loud)
    assert loud[-6.0]["fn"] + loud[-6.0]["fp"] > loud[30.0]["fn"] + loud[30.0]["fp"]
    assert ["30", "-6"] == list(dict.fromkeys(row["snr_db"] for row in rows_of(events)))


def test_peers_stand_beside_ours(
    patients: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, gross and by record, in the JSON on the output too; one that fails found nothing, and it is said."""
    command = ["evaluate", str(patients), "--records", "a1", "--against", "xqrs,wrong", "--jobs", "1"]

    def fail(millivolts: np.ndarray, rate_hz: float) -> np.ndarray:
        raise ValueError("no beat here")

    monkeypatch.setitem(peers.DETECTORS, "wrong", ("wfdb", fail))
    assert 0 == main(command)
    said = capsys.readouterr().out
    assert "wrong failed (ValueError: no beat here)" in said and "Peers by record" in said
    assert 0 == main([*command, "--json", "-"])
    run = json.loads(capsys.readouterr().out)["runs"][0]
    assert {"xqrs", "wrong"} == set(run["gross"]["peers"]) == set(run["average"]) - {"provisional", "confirmed"}
    assert (0, 0) == tuple(run["gross"]["peers"]["xqrs"]["counts"][name] for name in ("fn", "fp"))
    assert run["gross"]["peers"]["xqrs"]["delay"]["median_ms"] is None
    assert 0.0 == run["gross"]["peers"]["wrong"]["counts"]["se_percent"]


@pytest.mark.parametrize("name", ["sleepecg", "gqrs", "pantompkins1985"])
def test_each_installed_peer_finds_clean_beats(name: str, patients: Path) -> None:
    """Within 150 ms of every beat, the first seconds left out."""
    if importlib.util.find_spec(peers.DETECTORS[name][0]) is None:
        pytest.skip(f"{name} is not installed")
    record, beats, *_ = prepared(Job(str(patients / "a1")))
    found, fault = run_peer(name, record.microvolts[:, 0], record.rate_hz)
    assert fault is None
    true = beats.sample[beats.sample > 5 * RATE_HZ]
    assert (np.abs(found[None, :] - true[:, None]).min(axis=1) <= 0.15 * RATE_HZ).all()


def test_peers_are_named_once_with_or_without_their_package() -> None:
    """`neurokit:khamis2016` is `khamis2016`; doubles count once."""
    assert ("xqrs", "gqrs") == peers_named("xqrs, gqrs,xqrs")
    if importlib.util.find_spec("neurokit2") is not None:
        assert ("khamis2016", "neurokit") == peers_named("neurokit:khamis2016,neurokit")


def test_a_peer_that_is_not_installed_is_refused_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(peers.DETECTORS, "gone", ("no_such_package", lambda x, _: x))
    with pytest.raises(SettingsError, match=r"pip install 'diastole\[peers\]'"):
        peers_named("gone")


def test_pictures_are_drawn_for_records_with_and_without_errors(patients: Path, tmp_path: Path) -> None:
    """Four files, none of them empty, of clean and of noisy records."""
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("drawing needs the extra `plots`")
    more = ["--noise", "ma", "--snr", "-6", "--noise-dir", str(patients.parent / "nstdb"), "--against", "xqrs"]
    for options in ([], more):
        assert 0 == main(["evaluate", str(patients / "a1"), "--plots", str(tmp_path / "plots"), *options])
    names = ["delays", "errors", "tolerances", "trust"]
    assert sorted(names + [f"ma--6dB-{name}" for name in names]) == sorted(p.stem for p in tmp_path.rglob("*.png"))
    assert all(path.stat().st_size > 10_000 for path in tmp_path.rglob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{ecg}/nowhere"], "There is no record or folder"),
        (["{ecg}/made/bare"], "has no annotations"),
        (["{ecg}/nstdb"], "holds no annotated record"),
        (["{ecg}/made", "--records", "a1,a9"], "--records a9: not there"),
        (["{ecg}/made", "--leads", "aVR"], "has no lead 'aVR'"),
        (["{ecg}/made", "--leads", "3"], "has no lead '3'"),
        (["{ecg}/made", "--noise", "em"], "--noise and --snr go together"),
        (["{ecg}/made", "--snr", "6"], "--noise and --snr go together"),
        (["{ecg}/made", "--noise", "pink", "--snr", "6"], "There is no noise 'pink'"),
        (["{ecg}/made", "--noise", "bw", "--snr", "6", "--noise-dir", "{ecg}"], "bw.hea is not in"),
        (["{ecg}/made", "--noise", "ma", "--snr", "loud"], "no number of decibels"),
        (["{ecg}/made", "--noise", "ma", "--snr", "nan"], "out of range"),
        (["{ecg}/made", "--against", "oracle"], "There is no peer 'oracle'"),
        (["{ecg}/made", "--against", ","], "names no detector"),
        (["{ecg}/made", "--json", "{ecg}/none/f.json"], "--json"),
        (["{ecg}/made", "--events", "{ecg}/made"], "--events"),
        (["{ecg}/made", "--plots", "{ecg}/made/a1.hea"], "cannot be made"),
        (["{ecg}/made", "--numbers", "{ecg}/none.toml"], "none.toml cannot be used"),
        (["{ecg}/made", "--numbers", "{ecg}"], "a1.toml cannot be used"),
        (["{ecg}/empty.csv"], "There is no file"),
        (["{ecg}/made/a1", "--learning-s", "45"], None),
    ],
)
def test_wrong_input_is_refused_before_the_work(
    arguments: list[str], said: str | None, patients: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one sentence that names the fault; the last is right and passes."""
    filled = [one.format(ecg=patients.parent) for one in arguments]
    assert (0 if said is None else 2) == main(["evaluate", *filled, "--jobs", "1"])
    error = capsys.readouterr().err
    if said is not None:
        assert said in error
        assert error.startswith("diastole evaluate: ") and 1 == len(error.splitlines())


def test_a_record_that_ends_in_the_learning_period_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beats are annotated, but none after the first 10 s; and a record without any beat."""
    for name, beats in (("early", [500, 700]), ("none", [])):
        write_record(tmp_path, name, 5, annotated=False)
        wfdb.wrann(name, "atr", np.array([*beats, 900]), ["N"] * len(beats) + ["+"], write_dir=str(tmp_path))
        assert 2 == main(["evaluate", str(tmp_path / name)])
        assert ("no annotated beat after" if beats else "no annotated beats") in capsys.readouterr().err


@pytest.mark.recorded
def test_a_recorded_patient_is_scored(recorded_ecg: Path) -> None:
    """MIT-BIH 207, both leads: the flutter is left out, so few beats are missed; a peer is scored on the same."""
    names = ("sleepecg",) if importlib.util.find_spec("sleepecg") is not None else ()
    run = run_record(Job(str(recorded_ecg / "mitdb" / "207"), peers=names))
    assert 1592 == len(run.confirmed.beat_sample)
    assert np.isnan(run.confirmed.beat_error_ms).mean() <= 0.05
    for peer in run.peers.values():
        assert 1592 == len(peer.beat_sample)
