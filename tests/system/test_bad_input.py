"""What a person may get wrong on the command line: one sentence with the cure; exit code 2, or 1 for the broker."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

import diastole
from gating.errors import SettingsError
from simulators.io.processes import Processes

Command = Callable[..., tuple[int, str]]

SCENARIO = 'name = "mine"\nstory = "A story."\n'


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command of the front door; gives its exit code and what it said on the error stream.

    An error that nobody foresaw would come out of `main` as an exception, and fail the test.
    """

    def run(*arguments: object) -> tuple[int, str]:
        code = diastole.main([str(argument) for argument in arguments])
        return code, capfd.readouterr().err

    return run


@pytest.fixture
def no_folder(tmp_path: Path) -> Path:
    """A folder that nobody can make, not even root: it would lie below a file."""
    file = tmp_path / "file"
    file.write_text("no folder")
    return file / "out"


def assert_one_sentence(expected_code: int, answer: tuple[int, str], *words: str) -> None:
    """See that an answer is one line with a cure, that it names what is wrong, and that the exit code is right."""
    code, errors = answer
    assert (expected_code, 1, 0) == (code, errors.count("\n"), errors.count("Traceback")), errors
    assert errors.startswith("diastole ")
    for word in (*words, ";"):  # what is wrong; the cure
        assert word in errors, errors


@pytest.mark.parametrize("what", [("demo",), ("simulate", "study"), ("simulate", "ecg")])
def test_an_unknown_scenario_is_named_with_those_that_there_are(
    what: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    """Nobody has to look the names up."""
    out = () if "ecg" in what else ("--out", tmp_path / "out")
    assert_one_sentence(2, command(*what, "--scenario", "heartbreak", *out), "'heartbreak'", "steady", "lead-off")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (f"{SCENARIO}\n[rhythm]\nrate_pbm = 70\n", "rate_pbm"),
        (f'{SCENARIO}\n[rhythm]\nrate_bpm = "fast"\n', "rate_bpm"),
        (f'{SCENARIO}\n[[faults]]\nkind = "gremlin"\nat_s = 3.0\n', "gremlin"),
        ("name = \n", "TOML"),
        ('name = "only"\n', "story"),
    ],
    ids=["unknown key", "wrong type", "unknown fault", "no TOML", "key missing"],
)
def test_a_wrong_scenario_file_is_refused_by_key(text: str, word: str, command: Command, tmp_path: Path) -> None:
    """The key, or the line, that has to be mended."""
    file = tmp_path / "mine.toml"
    file.write_text(text)
    assert_one_sentence(2, command("demo", "--scenario", file, "--out", tmp_path / "out"), "mine.toml", word)


@pytest.mark.parametrize("what", [("demo",), ("simulate", "study")])
def test_a_folder_that_cannot_be_written_is_told_before_anything_starts(
    what: tuple[str, ...], command: Command, no_folder: Path
) -> None:
    """No patient holds the breath for results that have no place."""
    assert_one_sentence(2, command(*what, "--out", no_folder), str(no_folder), "--out")


@pytest.mark.parametrize("broker", ["localhost", ":1883", "localhost:", "localhost:mqtt", "localhost:0", "::1:99999"])
def test_a_broker_that_is_no_address_is_refused(broker: str, command: Command, tmp_path: Path) -> None:
    """HOST:PORT, the port from 1 to 65535, with an example."""
    assert_one_sentence(2, command("demo", "--broker", broker, "--out", tmp_path / "out"), "HOST:PORT", "1883")


def test_a_broker_that_is_not_there_is_the_peers_fault(command: Command, tmp_path: Path) -> None:
    """Exit code 1, told before any other process is started."""
    answer = command("demo", "--broker", "127.0.0.1:1", "--no-page", "--out", tmp_path / "out")
    assert_one_sentence(1, answer, "127.0.0.1:1", "--broker")


@pytest.mark.processes
def test_a_record_that_is_not_there_is_wrong_input(command: Command, tmp_path: Path) -> None:
    """The sentence of the process that looked for it, and its exit code 2; the processes started before are ended."""
    answer = command("demo", "--ecg", tmp_path / "100", "--no-page", "--out", tmp_path / "out")
    assert_one_sentence(2, answer, "There is no record", str(tmp_path / "100"))


@pytest.mark.processes
def test_a_box_that_nobody_knows_is_wrong_input(command: Command, tmp_path: Path) -> None:
    """Found by the process that should play it, told by the demo."""
    file = tmp_path / "mine.toml"
    file.write_text(f'{SCENARIO}\n[box]\nfrontend = "ecg9000"\n')
    answer = command("demo", "--scenario", file, "--no-page", "--out", tmp_path / "out")
    assert_one_sentence(2, answer, "ecg9000", "healthypi6")


@pytest.mark.processes
def test_a_process_that_ends_while_another_is_waited_for_is_told(tmp_path: Path) -> None:
    """A gate that cannot start is named at once, not after the patience for the ECG box is used up."""

    async def run() -> None:
        """Wait for a broker's word that never comes, while a gate finds no site file."""
        async with Processes(tmp_path / "log") as processes:
            lines = await processes.start("broker", "broker", "--port", "0")
            await processes.start("gate", "gate", "--config", str(tmp_path / "none.toml"))
            await processes.words("broker", lines, "a word that no broker says")

    with pytest.raises(SettingsError, match=r"none\.toml"):
        asyncio.run(run())


def test_a_record_to_replay_that_is_not_there_is_wrong_input(command: Command, tmp_path: Path) -> None:
    """The same of `replay`."""
    assert_one_sentence(2, command("replay", tmp_path / "100"), "There is no record")


@pytest.mark.parametrize("what", ["gate", "bridge", "monitor", "broker", "arm", "disarm", "check"])
def test_a_site_file_that_is_missing_or_wrong_is_refused(what: str, command: Command, tmp_path: Path) -> None:
    """Missing, and with an unknown key: by name, for each command that reads one."""
    file = tmp_path / "site.toml"
    assert_one_sentence(2, command(what, "--config", file), "site.toml")
    file.write_text('site = "lab"\n[mqtt]\nprot = 1883\n')
    assert_one_sentence(2, command(what, "--config", file), "prot")


def test_a_folder_without_slices_is_refused(command: Command, tmp_path: Path) -> None:
    """`score` of nothing is wrong input, no score of zero."""
    code, errors = command("score", tmp_path / "none")
    assert (2, 0) == (code, errors.count("Traceback")), errors
    assert "none" in errors


@pytest.mark.parametrize(
    "arguments",
    [("demo", "--seed", "-1"), ("demo", "--sede", "1"), ("simulate",), ("simulate", "patient"), ("demmo",)],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_is_refused(arguments: tuple[str, ...], command: Command) -> None:
    """Usage, exit code 2, and no traceback."""
    code, errors = command(*arguments)
    assert (2, 0) == (code, errors.count("Traceback"))
