"""The text at the end, letter by letter, and what it refuses to pass over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from benchmarks.demo import attainment, bill, receipt

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
# Half an hour of one spot replica at 0.284, where on-demand costs 0.70.
BILL = bill.bill(
    [bill.Lifetime(service="chat", pool="l4-spot", start=START, end=None)],
    [
        bill.Price(
            pool="l4-spot",
            capacity_type="Spot",
            hardware="NVIDIA-L4",
            per_slot_hour=Decimal("0.284"),
        ),
        bill.Price(
            pool="l4-ondemand",
            capacity_type="OnDemand",
            hardware="NVIDIA-L4",
            per_slot_hour=Decimal("0.70"),
        ),
        bill.Price(
            pool="l4-reserved",
            capacity_type="Reserved",
            hardware="NVIDIA-L4",
            per_slot_hour=Decimal("0.45"),
            committed_slots=2,
        ),
    ],
    since=START,
    until=START + timedelta(minutes=30),
)
CLIENTS = attainment.Attainment(
    sent=2000, answered=1990, refused=9, lost=1, within_slo=1985, p50_ms=147.2, p99_ms=571
)


def made(operator: str | None) -> receipt.Receipt:
    check = receipt.SpendCheck(
        service="chat",
        operator=None if operator is None else Decimal(operator),
        own=Decimal("0.142"),
    )
    return receipt.Receipt(
        bill=BILL, clients={"chat": CLIENTS}, slo_ms={"chat": 600}, spend_checks=(check,)
    )


def test_the_receipt_shows_the_bill_the_clients_and_the_checks() -> None:
    # 0.142 for 1,990 answers: 0.071357 per thousand. 1,985 of 2,000 in time: 99.25 %.
    assert receipt.text(made("0.1425")).splitlines() == [
        "The bill, 12:00:00 to 12:30:00 UTC",
        "  SERVICE  CAPACITY  REPLICA-HOURS    PAID $  AT ON-DEMAND PRICES $",
        "  chat     Spot           0.500000  0.142000               0.350000",
        "  total                   0.500000  0.142000               0.350000",
        "The same replica-hours at on-demand prices: $0.350000.",
        "Saved against those: $0.208000 (59.4%).",
        "Beside the bill: 1.000000 slot-hours of l4-reserved were committed and not used,"
        " worth $0.450000.",
        "",
        "What the clients saw (a time counts from when a request was due; refused and lost are"
        " late)",
        "  SERVICE  SENT  ANSWERED  REFUSED  LOST  WITHIN SLO  P50 MS  P99 MS  SLO MS"
        "  $ PER 1000 ANSWERED",
        "  chat     2000      1990        9     1      99.25%     147     571     600"
        "             0.071357",
        "",
        "Checks",
        "  ok  the lines add up to the total, and that is what the lifetimes of all pods come to",
        "  ok  status.spend of chat is $0.142500, the pods' lifetimes up to then give $0.142000"
        " (0.35% apart)",
    ]
    assert made("0.1425").problems() == ()


def test_a_spend_that_is_two_percent_off_is_still_fine_and_more_is_not() -> None:
    # 2 % of 0.142 is 0.00284.
    assert made("0.14484").problems() == ()
    assert made("0.14485").problems() == (
        "status.spend of chat is $0.144850, the pods' lifetimes up to then give $0.142000,"
        " more than 2% apart",
    )


def test_a_spend_that_the_operator_never_told_is_a_problem() -> None:
    assert made(None).problems() == (
        "status.spend of chat is unknown, the pods' lifetimes up to then give $0.142000,"
        " more than 2% apart",
    )


def test_a_price_per_thousand_is_unknown_without_answers() -> None:
    assert receipt.per_thousand(Decimal("0.10"), 0) == "unknown"
