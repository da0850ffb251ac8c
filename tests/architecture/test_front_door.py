"""The front door imports no room before one is chosen."""

import ast
import subprocess
import sys
from pathlib import Path

import diastole

ROOT = Path(__file__).resolve().parents[2]


def test_help_imports_no_room_and_lists_every_command() -> None:
    """`diastole --help` names all commands and leaves every room unimported."""
    code = (
        "import sys, diastole; diastole.main(['--help']);"
        "rooms = {'gating', 'scanner_bridge', 'scoring', 'simulators', 'numpy'};"
        "print([m for m in sys.modules if m.split('.')[0] in rooms])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "[]" == run.stdout.strip().splitlines()[-1]
    assert [] == [name for name in diastole.COMMANDS if f"  {name}" not in run.stdout]


def test_an_unknown_command_is_named_with_the_cure() -> None:
    """A mistyped command exits with 2 and says where the list is."""
    run = subprocess.run(
        [sys.executable, "-m", "diastole", "scann"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert 2 == run.returncode
    assert "there is no command 'scann'" in run.stderr


def test_the_rooms_of_all_commands_exist() -> None:
    """Each command's room is a file of this repository that defines `app`."""
    for module, _ in diastole.COMMANDS.values():
        tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
        names = {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
        names |= {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        assert "app" in names, module
