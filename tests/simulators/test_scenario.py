"""Scenarios: the packaged stories, and what is refused."""

from pathlib import Path

import msgspec
import pytest

from gating.errors import SettingsError
from simulators.io.scenarios import load_scenario, scenario_names
from simulators.scenario import parse_scenario, reseeded

STORIES = {
    "steady", "rsa", "pvc", "af", "lead-off", "lead-off-returns", "pause", "drawn", "fast", "unplug", "no-flags-hum",
    "planned",
}  # fmt: skip


def test_the_packaged_stories_are_these() -> None:
    """No story is missing and none is unknown to this list."""
    assert STORIES == set(scenario_names())


@pytest.mark.parametrize("name", sorted(STORIES))
def test_every_packaged_story_is_named_as_its_file_and_says_what_it_is(name: str) -> None:
    """The name in the file is the file's name, and the story is a sentence."""
    scenario = load_scenario(name)
    assert name == scenario.name
    assert scenario.story.endswith(".")


def test_steady_is_the_default_patient() -> None:
    """60 bpm, a patient at the published mean, no fault, and a complete scan expected."""
    steady = load_scenario("steady")
    assert (60.0, False, (), True) == (
        steady.rhythm.rate_bpm,
        steady.rest_phase.drawn,
        steady.faults,
        steady.expected.complete,
    )


def test_an_unknown_story_lists_the_known_ones() -> None:
    """A mistyped name is answered with all names."""
    with pytest.raises(SettingsError, match=r"no scenario 'stedy'.*steady"):
        load_scenario("stedy")


def test_a_file_is_read_and_a_bad_one_is_refused_by_key(tmp_path: Path) -> None:
    """A TOML file is a scenario too; an unknown key, a wrong value and text that is no TOML are named."""
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\nstory = "s"\n[rhythm]\nrate_bpm = 50\n', encoding="utf-8")
    assert 50.0 == load_scenario(file).rhythm.rate_bpm
    for text, said in (
        ('name = "m"\nstory = "s"\nspeed = 1\n', "speed"),
        ('name = "m"\nstory = "s"\n[rhythm]\nrate_bpm = "fast"\n', "rate_bpm"),
        ("name = ", "TOML"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(SettingsError, match=said):
            load_scenario(file)


def test_a_scenario_survives_the_way_between_processes(tmp_path: Path) -> None:
    """Written as JSON and read again it is the same; an unknown key is refused there too."""
    file = tmp_path / "scenario.json"
    file.write_bytes(msgspec.json.encode(load_scenario("no-flags-hum")))
    assert load_scenario("no-flags-hum") == load_scenario(file)
    file.write_bytes(b'{"name": "m", "story": "s", "speed": 1}')
    with pytest.raises(SettingsError, match="speed"):
        load_scenario(file)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are the file's fault, said in one sentence."""
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_scenario(file)


def test_reseeding_changes_the_seed_alone() -> None:
    """The same story with another seed."""
    steady = load_scenario("steady")
    assert 9 == reseeded(steady, 9).seed
    assert steady == reseeded(reseeded(steady, 9), steady.seed)
    assert parse_scenario('name = "a"\nstory = "b"', "x").seed == 1


NO_PATIENT = {
    "no such group": ('[anatomy]\ngroup = "white X"', "there is no group 'white X'; the groups are white F"),
    "an age that was not studied": ('[anatomy]\ngroup = "white M"\nage = 30', "45 and 84"),
    "no such artery": ("[anatomy.lesions]\nAORTA = 2", "the vessels are LM, LAD, LCX, RCA"),
}


@pytest.mark.parametrize("name", NO_PATIENT)
def test_a_patient_that_cannot_be_is_told_before_anything_starts(name: str, tmp_path: Path) -> None:
    """The sentence names the key's value and what there is."""
    text, cure = NO_PATIENT[name]
    (tmp_path / "mine.toml").write_text(f'name = "mine"\nstory = ""\n{text}\n')
    with pytest.raises(SettingsError, match=cure):
        load_scenario(tmp_path / "mine.toml")
