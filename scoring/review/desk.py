"""The reader's desk: one labelling, its running score, its journal and the revisions it writes. No web in here."""

from collections.abc import Callable
from dataclasses import replace

import msgspec

from scoring.io.evidence import read_evidence
from scoring.io.results.bundle import make_results
from scoring.io.revisions import digest_of, next_number, write_revision
from scoring.io.scored_series import score_again
from scoring.labelling import (
    Edit,
    EditError,
    Keep,
    Labelling,
    begin,
    decided_in,
    edited,
    first_pixel,
    labels_of,
    lesions_of,
    redo,
    undo,
)
from scoring.quality import NOT_MEASURED
from scoring.report import Review, ScoreReport
from scoring.review.journal import Head, Journal, Left, Redone, Step, Undone, edits_of, end, left_behind
from scoring.review.opening import DECISIONS, Opened, decisions, write_pointer
from scoring.review.view import (
    Kind,
    LeftEdits,
    Outcome,
    PageIsland,
    PageState,
    SeriesFacts,
    heart_of,
    page_islands,
    page_lesions,
    pixels_of,
    series_facts,
    standing_of,
    totals_of,
)
from scoring.score import score_volume
from scoring.volume import Refusal

LONGEST_NAME = 120


class DeskError(Exception):
    """What was asked cannot be done now; the text tells the reader why, and nothing was changed."""


class StaleError(DeskError):
    """The reader looked at something that is not so any more."""


class Desk:
    """One open series. Every method leaves it whole: what fails changes nothing."""

    def __init__(self, opened: Opened, now: Callable[[], str]) -> None:
        self._opened = opened
        self._now = now  # wall time, ISO 8601 with its offset
        self._report = opened.before.report
        self._base, self._supersedes = opened.base, opened.supersedes
        self._number = self._islands_number = 1
        self._notices: tuple[str, ...] = opened.notices
        self._outcome: Outcome = opened.before.outcome
        self._state: Labelling | None = None
        volume, first = opened.before.volume, opened.first
        if volume is not None and first is not None:
            self._state = begin(volume, first.labels, self._report.settings, decided=opened.decided)
            self._outcome = self._scored(self._state)
        # what the newest revision holds; None: something else than what is open
        self._saved = self._state.now if self._state is not None and opened.as_written else None
        series = "" if self._report.provenance is None else self._report.provenance.series
        self._journal = Journal(opened.out, Head(series, self._base, now()))
        self._left = left_behind(opened.out, series) if self._state is not None else ()

    # --- telling -----------------------------------------------------------------------------------------

    def facts(self) -> SeriesFacts:
        """Tell what stays."""
        return series_facts(self._opened.before.volume, self._report)

    def pixels(self) -> bytes:
        """Give the slices, int16."""
        volume = self._opened.before.volume
        return b"" if volume is None else pixels_of(volume)

    def islands(self) -> tuple[PageIsland, ...]:
        """Tell where the islands are."""
        return () if self._state is None else page_islands(self._state)

    def state(self) -> PageState:
        """Tell all that changes."""
        state, outcome = self._state, self._outcome
        first = self._opened.first
        proposals = () if first is None else first.proposals
        lesions = () if state is None else page_lesions(state, outcome, proposals)
        changed = self._base > 0 and state is not None and state.now is not self._saved
        newest = self._left[-1] if self._left else None
        return PageState(
            number=self._number,
            islands_number=self._islands_number,
            editable=state is not None and not isinstance(outcome, Refusal),
            reasons=outcome.reasons,
            notices=self._notices,
            lesions=lesions,
            undecided=sum(not lesion.decided for lesion in lesions),
            totals=totals_of(outcome),
            can_undo=state is not None and bool(state.done),
            can_redo=state is not None and bool(state.undone),
            standing=standing_of(self._report, self._base, changed),
            left=None if newest is None else _left_edits(newest),
            heart=heart_of(self._report),
        )

    # --- doing -------------------------------------------------------------------------------------------

    def step(self, seen: int, step: Step) -> PageState:
        """Do one edit, or take one back; it is in the journal before it holds.

        Raises
        ------
        DeskError
            If the series cannot be edited, the edit cannot be done, or the reader saw another state.
        SeriesError
            If the journal cannot be written.
        """
        state = self._open(seen)
        after = _stepped(state, step)
        if after is not state:
            outcome = self._scored(after)
            self._journal.add(step)
            self._take(after, outcome)
        return self.state()

    def take_left(self, seen: int, take: bool) -> PageState:
        """Do the newest edits that an earlier page left behind, or pass them over for good.

        Raises
        ------
        DeskError
            If there are none, or the reader saw another state.
        SeriesError
            If the journal cannot be written.
        """
        state = self._open(seen)
        if not self._left:
            raise DeskError("There are no edits of an earlier page any more.")
        left = self._left[-1]
        edits = edits_of(left.steps) if take else []
        passed = 0
        for edit in edits:
            try:
                state = edited(state, edit)
                self._journal.add(edit)
            except EditError:
                passed += 1
        self._take(state, self._scored(state))
        end(left, "taken over" if take else "passed over")
        self._left = self._left[:-1]
        if passed:
            self._notices = (*self._notices, f"{passed} of {len(edits)} edits no longer fit and were passed over.")
        return self.state()

    def save(
        self, seen: int, kind: Kind, reviewer: str, rest_stays: bool, *, whole_heart: bool | None = None
    ) -> PageState:
        """Write the next revision: a draft, or the confirmed result of a named reader.

        Parameters
        ----------
        seen
            Number of the state that the reader looked at.
        kind
            A draft waits; a confirmed result goes out.
        reviewer
            Who confirms.
        rest_stays
            True when the reader said that lesions without a decision stay as they are shown.
        whole_heart
            True when the reader said that the heart is whole though the images show it cut; None: as it was.

        Raises
        ------
        DeskError
            If the name is missing, lesions wait for a decision, a draft would say nothing new, or another page wrote a
            revision meanwhile.
        SeriesError
            If the slices are gone, or the disk does not take the revision.
        """
        state, name = self._open(seen), " ".join(reviewer.split())
        if kind == "confirmed" and not name:
            raise DeskError("Who confirms? Write your name.")
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise DeskError(f"The name must be plain text of at most {LONGEST_NAME} characters.")
        if kind == "draft" and self._base > 0 and state.now is self._saved:
            # a stray key must not put a draft in the place of a confirmed result
            raise DeskError(f"Nothing has changed since revision {self._base}, so there is nothing to save.")
        waiting = tuple(
            first_pixel(island) for island, known in zip(state.now.islands, state.now.decided, strict=True) if not known
        )
        if kind == "confirmed" and waiting:
            if not rest_stays:
                raise DeskError(f"{self.state().undecided} lesion(s) wait for your decision.")
            state = edited(state, Keep(waiting))  # holds with the revision only, so it is not in the journal
        self._write(state, kind, name, whole_heart)
        return self.state()

    def close(self) -> None:
        """Let go of the journal; what it holds is offered when the review is opened again."""
        self._journal.leave()

    # --- inside ------------------------------------------------------------------------------------------

    def _open(self, seen: int) -> Labelling:
        """Give the labelling that a request is about, or refuse."""
        if self._state is None or isinstance(self._outcome, Refusal):
            raise DeskError("This series is refused, so there is nothing to review.")
        if seen != self._number:
            raise StaleError("Another page changed this review meanwhile; this page now shows it. Look, then go on.")
        return self._state

    def _scored(self, state: Labelling) -> Outcome:
        """Score the map as it stands; the facts beside it were measured once."""
        report = self._report
        labels = labels_of(state, "review")
        measured = NOT_MEASURED if report.quality is None else report.quality.measured
        return score_volume(
            state.volume,
            labels,
            report.settings,
            report.acquisition,
            report.score.calibration,
            measured,
            lesions_of(state),
        )

    def _take(self, state: Labelling, outcome: Outcome) -> None:
        """Make a state the present one."""
        if self._state is None or state.now.islands is not self._state.now.islands:
            self._islands_number += 1
        self._state, self._outcome = state, outcome
        self._number += 1

    def _write(self, state: Labelling, kind: Kind, name: str, whole_heart: bool | None) -> None:
        """Write a revision, and go on from it."""
        out, number = self._opened.out, self._base + 1
        if next_number(out) != number:
            raise StaleError(
                f"Another page wrote revision {next_number(out) - 1} meanwhile, and yours begins from "
                f"{self._base}: nothing was written. Your edits are in the journal; end this review, open it "
                "again, and take them over."
            )
        confirmed = kind == "confirmed"
        review = Review(
            state=kind,
            reviewer=name if confirmed else "",
            reviewed_at=self._now() if confirmed else "",
            revision=number,
            supersedes=self._supersedes,
        )
        labels = labels_of(state, "given by a person, lesion by lesion" if confirmed else "draft of a review")
        waiting = self.state().undecided
        if not confirmed and waiting:
            told = f"{waiting} lesion(s) wait for a decision: the score is that of what was labelled so far."
            labels = replace(labels, notes=(*labels.notes, told))
        before = replace(self._opened.before, report=_with_heart(self._report, whole_heart))
        scored = score_again(before, labels, review)
        if scored.volume is None:
            raise DeskError("There is no volume, so there is nothing to write.")
        files = make_results(
            scored,
            read_evidence(self._opened.slices, scored.volume),
            self._report if self._base else None,
            {DECISIONS: decisions(decided_in(state))},
        )
        write_pointer(out, self._opened.slices)
        written = write_revision(out, number, files)
        self._report, self._base, self._supersedes = scored.report, number, digest_of(written)
        self._journal.close(number)
        self._state = replace(state, done=(), undone=())
        self._saved = self._state.now
        self._outcome = self._scored(self._state)
        self._number += 1


def _with_heart(report: ScoreReport, whole: bool | None) -> ScoreReport:
    """Keep what a person says of a heart that the images show cut; of another one there is nothing to say."""
    if whole is None or heart_of(report) is None:
        return report
    settings = msgspec.structs.replace(report.settings, coverage_check="person" if whole else "images")
    return msgspec.structs.replace(report, settings=settings)


def _stepped(state: Labelling, step: Step) -> Labelling:
    """Do a step."""
    if isinstance(step, Undone):
        return undo(state)
    if isinstance(step, Redone):
        return redo(state)
    edit: Edit = step
    try:
        return edited(state, edit)
    except EditError as error:
        raise DeskError(str(error)) from error


def _left_edits(left: Left) -> LeftEdits:
    """Tell of edits that were left behind."""
    return LeftEdits(edits=len(edits_of(left.steps)), base=left.head.base, began_at=left.head.began_at)
