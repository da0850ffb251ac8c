"""The front door: the names of all commands and the room that runs each. A room is imported only when it is chosen."""

import importlib
import os
import sys

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("simulators.io.play", "run one whole simulated scan, from serial bytes to a calcium score"),
    "gate": ("gating.io.cli", "read the ECG box and publish triggers"),
    "bridge": ("scanner_bridge.io.cli", "hear triggers and control the scanner"),
    "monitor": ("gating.monitor.cli", "serve the radiographer's page"),
    "broker": ("gating.io.cli", "run the embedded MQTT broker"),
    "keys": ("gating.io.cli", "make the key pairs of gate, bridge and operator"),
    "arm": ("gating.io.cli", "arm the bridge as the operator, and begin the breath-hold"),
    "disarm": ("gating.io.cli", "end the session as the operator"),
    "simulate": ("simulators.io.cli", "a simulated ECG box, gantry, or a whole study in virtual time"),
    "replay": ("simulators.io.cli", "play a recorded ECG as a serial port"),
    "evaluate": ("gating.io.evaluate_cli", "measure the R-peak detector on annotated recordings"),
    "compare": ("simulators.io.compare_cli", "scan the same hearts under several gating policies"),
    "campaign": ("simulators.io.campaign_cli", "run a grid of whole virtual studies to one table"),
    "rehearse": ("simulators.io.rehearse_cli", "rehearse a breath-hold: what the scan will be like, and one advice"),
    "score": ("scoring.io.cli", "score the calcium in a CT series"),
    "review": ("scoring.review.cli", "give lesions their vessels, on a page in the browser"),
    "acknowledge": ("scoring.io.acknowledge", "record who has seen a very high score"),
    "receive": ("scoring.io.receiver.cli", "receive a scanner's slices and score each complete series as a draft"),
    "send": ("scoring.io.send_cli", "send a confirmed calcium score to an archive"),
    "check": ("gating.io.cli", "say what would stop a scan today"),
}

# commands without linear algebra: threads that wait for it cost a fifth of the time to start, and more in a batch
ONE_THREAD = {"score"}

USAGE = """Diastole gates a CT calcium scan on the heart. Research and engineering software, no medical device.

Usage: diastole COMMAND [OPTIONS]      e.g. diastole demo --seed 7

Commands:
{commands}

diastole COMMAND --help tells more of each. diastole --version prints the version."""


def _usage() -> str:
    return USAGE.format(commands="\n".join(f"  {name:<9} {text}" for name, (_, text) in COMMANDS.items()))


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 0 on success, 1 when a scan or score did not complete, 2 for wrong input."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        sys.stdout.write(_usage() + "\n")
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"diastole {version('diastole')}\n")
        return 0
    command = arguments[0]
    if command not in COMMANDS:
        sys.stderr.write(f"diastole: there is no command {command!r}; `diastole --help` lists them.\n")
        return 2
    if command in ONE_THREAD and "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    room = importlib.import_module(COMMANDS[command][0])
    from gating.errors import DeviceError, DiastoleError, PeerError

    try:
        room.app(arguments, prog_name="diastole")
    except (DeviceError, PeerError) as error:
        sys.stderr.write(f"diastole {command}: {error}\n")
        return 1
    except DiastoleError as error:
        sys.stderr.write(f"diastole {command}: {error}\n")
        return 2
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
