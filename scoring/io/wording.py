"""What every form of a result says in the same words: whose answer it is, and its headline."""

from scoring.report import ScoreReport

DRAFT = "PROPOSED - NOT REVIEWED"


def state_of(report: ScoreReport) -> str:
    """Say that nobody has confirmed a result, or who has and when."""
    review = report.review
    if report.draft or review is None:
        return DRAFT
    again = f", revision {review.revision}" if review.revision > 1 else ""
    supersedes = "; supersedes an earlier one" if review.supersedes else ""
    return f"Confirmed by {review.reviewer}, {review.reviewed_at}{again}{supersedes}"


def headline(report: ScoreReport) -> str:
    """Say the score in one line, or that there is none."""
    if report.score.total is None:
        return "Not scored." if report.status == "refused" else "No total."
    parts = (
        f"Agatston {report.score.shown}",
        f"class {report.category}" if report.category else "",
        report.cac_drs or "",
    )
    return ", ".join(part for part in parts if part) + "."
