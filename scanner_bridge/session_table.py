"""The exposure session as a table: every event in every state has exactly one rule, and nothing else changes the state.

House rules. (1) Whatever decides what an event does in a state stands in `TABLE`. (2) No pair is undefined; a pair that
cannot happen with an honest scanner is `alien`: stop the beam, fault. (3) Only `armed` judges a trigger. (4) A beam is
believed only in `booked`, and only the one that was commanded.
"""

from typing import Literal, get_args

from gating.messages import SessionState

EventKind = Literal[
    # people
    "arm",
    "resume",
    "begin-hold",
    "end-hold",
    "hold",
    "disarm",
    "note",
    # the gate
    "trigger",
    "keep-alive",
    "cancel",
    "inhibit",
    "pong",
    # not believed, or not understood
    "stranger",
    "refused",
    "unknown",
    "link-lost",
    # the scanner
    "ready",
    "table-settled",
    "beam-on",
    "beam-off",
    "exposure-refused",
    "driver-fault",
    # ourselves
    "durable",
    "tick",
]

Rule = Literal[
    "ignore",
    "arm",
    "resume",
    "decline",
    "begin_hold",
    "end_hold",
    "end_held",
    "end_disarmed",
    "end_unknown",
    "end_link",
    "clear",
    "note",
    "judge",
    "turn_down",
    "renew",
    "dominate",
    "inhibit",
    "measure",
    "stranger",
    "count",
    "ready",
    "restart",
    "recover",
    "settle",
    "check_table",
    "begin",
    "finish",
    "miss",
    "fault",
    "alien",
    "durable",
    "tick",
]

STATES: tuple[SessionState, ...] = (
    "disarmed",
    "moving",
    "armed",
    "booked",
    "exposing",
    "inhibited",
    "complete",
    "ended",
    "fault",
)
EVENTS: tuple[EventKind, ...] = get_args(EventKind)
IN_SESSION: frozenset[SessionState] = frozenset({"moving", "armed", "booked", "exposing", "inhibited"})

_ROWS = """
                  disarmed   moving        armed         booked        exposing      inhibited     complete   ended      fault
arm               arm        decline       decline       decline       decline       decline       arm        arm        arm
resume            resume     decline       decline       decline       decline       decline       resume     resume     resume
begin-hold        decline    begin_hold    begin_hold    begin_hold    begin_hold    begin_hold    decline    decline    decline
end-hold          ignore     end_hold      end_hold      end_hold      end_hold      end_hold      ignore     ignore     ignore
hold              ignore     end_held      end_held      end_held      end_held      end_held      ignore     ignore     ignore
disarm            ignore     end_disarmed  end_disarmed  end_disarmed  end_disarmed  end_disarmed  clear      clear      ignore
note              note       note          note          note          note          note          note       note       note
trigger           turn_down  turn_down     judge         turn_down     turn_down     turn_down     turn_down  turn_down  turn_down
keep-alive        ignore     renew         renew         renew         renew         renew         ignore     ignore     ignore
cancel            ignore     dominate      dominate      dominate      dominate      dominate      ignore     ignore     ignore
inhibit           ignore     inhibit       inhibit       inhibit       inhibit       inhibit       ignore     ignore     ignore
pong              measure    measure       measure       measure       measure       measure       measure    measure    measure
stranger          stranger   stranger      stranger      stranger      stranger      stranger      stranger   stranger   stranger
refused           count      count         count         count         count         count         count      count      count
unknown           ignore     end_unknown   end_unknown   end_unknown   end_unknown   end_unknown   ignore     ignore     ignore
link-lost         ignore     end_link      end_link      end_link      end_link      end_link      ignore     ignore     ignore
ready             ready      restart       restart       restart       restart       restart       ready      ready      recover
table-settled     ignore     settle        check_table   check_table   check_table   settle        ignore     ignore     ignore
beam-on           alien      alien         alien         begin         alien         alien         alien      alien      alien
beam-off          ignore     alien         alien         alien         finish        alien         ignore     ignore     ignore
exposure-refused  ignore     ignore        ignore        miss          alien         ignore        ignore     ignore     ignore
driver-fault      fault      fault         fault         fault         fault         fault         fault      fault      fault
durable           ignore     ignore        ignore        durable       ignore        ignore        ignore     ignore     ignore
tick              tick       tick          tick          tick          tick          tick          tick       tick       tick
"""  # noqa: E501 - a table is read across


def _read(rows: str) -> dict[tuple[SessionState, EventKind], Rule]:
    """Read the table; a missing or misspelt cell fails at import, not in the middle of a scan."""
    head, *lines = [line.split() for line in rows.strip().splitlines()]
    known: dict[str, Rule] = {rule: rule for rule in get_args(Rule)}
    if tuple(head) != STATES or tuple(line[0] for line in lines) != EVENTS:
        raise AssertionError("The session's table does not name every state and event in order.")
    return {
        (state, event): known[cell]
        for event, (_, *cells) in zip(EVENTS, lines, strict=True)
        for state, cell in zip(STATES, cells, strict=True)
    }


TABLE = _read(_ROWS)
"""(state, event) to rule."""
