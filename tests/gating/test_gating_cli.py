"""The commands of the gate's room, as a person types them: exit codes, sentences, JSON."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diastole import main
from gating.errors import SettingsError
from gating.frontends import FRONTENDS
from gating.io.journal import read_journal, replay
from gating.io.keys import make_keys
from gating.io.site import read_site


@pytest.fixture
def site_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a site file with keys beside it."""

    def write(port: int = 1, serial: str = "/dev/none", site: str = "cli", more: str = "") -> Path:
        """Write it."""
        make_keys(tmp_path / "keys")
        path = tmp_path / "site.toml"
        path.write_text(
            f'site = "{site}"\nout = "out"\n[mqtt]\nport = {port}\n[serial]\nport = "{serial}"\n'
            f'[gate]\nsimulated = true\n[bridge]\ndriver = "gantry"\n{more}'
        )
        return path

    return write


def test_every_command_helps_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and a line that can be copied."""
    for command in ("keys", "broker", "gate", "arm", "disarm", "check"):
        assert 0 == main([command, "--help"])
        assert f"diastole {command}" in capsys.readouterr().out


def test_keys_are_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ids are printed; a second call is wrong input, in one sentence."""
    assert 0 == main(["keys", str(tmp_path / "keys")])
    assert 3 == sum(line.split()[0] in {"gate", "bridge", "operator"} for line in capsys.readouterr().out.splitlines())
    assert 2 == main(["keys", str(tmp_path / "keys")])
    error = capsys.readouterr().err
    assert error.startswith("diastole keys: ") and 1 == len(error.splitlines())


@pytest.mark.parametrize("command", ["gate", "arm", "disarm", "check"])
def test_a_missing_site_file_is_wrong_input(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the file's name."""
    assert 2 == main([command, "--config", str(tmp_path / "none.toml")])
    assert "There is no site file" in capsys.readouterr().err


def test_an_unknown_setting_is_refused_by_name(
    site_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file's name."""
    path = site_file(more="[monitor]\ncolour = 1\n")
    assert 2 == main(["gate", "--config", str(path)])
    error = capsys.readouterr().err
    assert "colour" in error and "site.toml" in error


def test_a_site_files_paths_count_from_its_folder(site_file: Callable[..., Path], tmp_path: Path) -> None:
    """From wherever the command is started."""
    site = read_site(site_file())
    assert (str(tmp_path / "keys"), str(tmp_path / "out")) == (site.keys.folder, site.out)
    assert site.mqtt.password_file is None


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#"])
def test_a_sites_name_is_a_topic_level(name: str, site_file: Callable[..., Path]) -> None:
    """Anything else would put its messages where nobody listens."""
    with pytest.raises(SettingsError, match="topic level"):
        read_site(site_file(site=name))


def test_a_missing_port_ends_the_gate_with_the_cure(
    site_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A device's fault: exit code 1."""
    assert 1 == main(["gate", "--config", str(site_file())])
    assert "There is no serial port /dev/none" in capsys.readouterr().err


def test_arming_without_a_broker_or_a_bridge_names_who_is_missing(
    site_file: Callable[..., Path], embedded: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A peer's fault: exit code 1."""
    path = site_file()
    assert 1 == main(["arm", "--config", str(path)])
    assert "No MQTT broker answers" in capsys.readouterr().err
    path.write_text(path.read_text().replace("port = 1\n", f"port = {embedded.port}\n"))
    assert 1 == main(["disarm", "--config", str(path)])
    assert "start `diastole bridge`" in capsys.readouterr().err


def test_a_broker_for_all_the_world_without_passwords_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong settings: exit code 2."""
    assert 2 == main(["broker", "--host", "0.0.0.0"])
    assert "--password-file" in capsys.readouterr().err


def test_check_prints_a_table_or_json_and_its_exit_code_says_whether_a_scan_is_stopped(
    site_file: Callable[..., Path], embedded: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a missing port it is."""
    path = site_file(embedded.port)
    assert 1 == main(["check", "--config", str(path)])
    table = capsys.readouterr().out
    assert "STOP  serial port" in table and "This would stop a scan." in table
    assert 1 == main(["check", "--config", str(path), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["stops"] is True
    assert "serial port" in {finding["name"] for finding in result["findings"]}


@pytest.fixture
def box() -> Iterator[str]:
    """A pseudo-terminal on which a silent heart is sent in real time, as HealthyPi blocks of 8 samples."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    end = threading.Event()

    def send() -> None:
        """Send a block every 16 ms."""
        encoder = FRONTENDS["healthypi6"].encoder(8)
        due = time.monotonic()
        while not end.is_set():
            with contextlib.suppress(BlockingIOError):  # nobody reads yet, or any more
                os.write(master, encoder.encode(np.zeros((8, 3)), np.zeros((8, 4), dtype=bool)))
            due += 0.016
            time.sleep(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=send)
    thread.start()
    yield os.ttyname(slave)
    end.set()
    thread.join()
    os.close(master)
    os.close(slave)


@pytest.mark.processes
def test_the_gate_runs_until_told_and_its_journal_replays_to_the_same_messages(
    site_file: Callable[..., Path], embedded: Any, box: str, tmp_path: Path
) -> None:
    """Log lines are JSON; SIGTERM ends it with exit code 0; the journal is whole."""
    path = site_file(embedded.port, box)
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from diastole import main; sys.exit(main())",
            "gate",
            "--config",
            str(path),
        ],
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        assert "its journal is" in json.loads(process.stderr.readline())["event"]
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(10)
    finally:
        process.kill()
        _, errors = process.communicate()
    assert all("event" in json.loads(line) for line in errors.splitlines()), errors.decode()
    (journal,) = (tmp_path / "out").iterdir()
    head, lines = read_journal(journal)
    assert 30 < sum(line.call == "receive" for line in lines)
    assert head.settings.simulated and head.settings.boot in journal.name
    pairs = list(replay(journal))
    assert [recorded for recorded, _ in pairs] == [replayed for _, replayed in pairs]


@pytest.mark.parametrize("arguments", [("--override", "why"), ("--name", "AB", "--override", " ")])
def test_an_advice_is_overridden_by_a_person_with_a_reason(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a name, or without a reason, nothing is armed."""
    assert 2 == main(["arm", *arguments])
    assert "by a person with a reason: give --name AB --override 'why'" in capsys.readouterr().err
