"""The order behind a series, asked of a Modality Worklist: identity is compared, never typed twice."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]  # made at import

from scoring.io.associations import PeerFailed, associated
from scoring.io.peers import Peer
from scoring.volume import Refusal

MOST = 100  # answers read; a query by accession number or patient ID has a few
PENDING = (0xFF00, 0xFF01)
COMPARED = (("patient ID", "patient_id"), ("accession number", "accession"), ("StudyInstanceUID", "study_uid"))


@dataclass(frozen=True, slots=True)
class Order:
    """Identity as the worklist has it; empty where it says nothing."""

    patient_id: str
    accession: str
    study_uid: str


def order_of(header: Dataset) -> Order:
    """Take the identity of an image or object."""
    return Order(
        patient_id=str(header.get("PatientID") or ""),
        accession=str(header.get("AccessionNumber") or ""),
        study_uid=str(header.get("StudyInstanceUID") or ""),
    )


def find_orders(peer: Peer, *, accession: str = "", patient_id: str = "") -> tuple[Order, ...]:
    """Ask a worklist by accession number or patient ID.

    Raises
    ------
    ValueError
        If asked for neither: that would be everybody.
    PeerFailed
        If the worklist does not answer or answers with a failure.
    """
    if not accession and not patient_id:
        raise ValueError("a worklist is asked by accession number or patient ID")
    query, step = Dataset(), Dataset()
    query.AccessionNumber, query.PatientID, query.StudyInstanceUID = accession, patient_id, ""
    query.RequestedProcedureID = ""
    step.Modality = step.ScheduledProcedureStepStartDate = step.ScheduledStationAETitle = ""
    query.ScheduledProcedureStepSequence = [step]
    found: list[Order] = []
    with associated(peer, [ModalityWorklistInformationFind]) as link:
        if not link.accepted_contexts:
            raise PeerFailed("The peer is no modality worklist; name another with --worklist.")
        for status, answer in link.send_c_find(query, ModalityWorklistInformationFind):
            code = status.get("Status")
            if code in PENDING and answer is not None and len(found) < MOST:
                found.append(order_of(answer))
            elif code not in (*PENDING, 0x0000):
                raise PeerFailed("The worklist broke off or answered with a failure; ask its keeper.")
    return tuple(found)


def check_order(identity: Order, orders: Sequence[Order]) -> Refusal | None:
    """Compare a series with the orders found; None when one of them is its own, with nothing against it."""
    if not orders:
        return Refusal(("The worklist has no order for this series; nothing is sent for nobody.",))
    faults = []
    for order in orders:
        wrong = [
            label
            for label, name in COMPARED
            if getattr(order, name) and getattr(order, name) != getattr(identity, name)
        ]
        if not wrong:
            return None
        faults.append(" and ".join(wrong))
    return Refusal((f"The series is not of the order in the worklist: they differ in {faults[0]}; ask who scanned.",))
