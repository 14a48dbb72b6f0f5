"""Whatever order things come in, a code is worth one machine, and only what a nurse compared becomes a box."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordination.authority import Authority
from coordination.box_identity import standing_keys
from coordination.enrolment_wishes import LIFETIME_MS
from coordination.enrolments import MOST_OFFERS, MOST_WRONG, Claim, Enrolments
from coordination.sqlite_file import connect
from exchange.enrolment import EnrolmentError, Machine
from exchange.enrolment_code import EnrolmentCode
from exchange.identity import SigningKey, TlsKey
from tests.coordination.kit import rows

AT = 1_800_000_000_000
CA = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"
MACHINES = tuple(
    Machine(csr=TlsKey.generate().csr("m-1"), signing=SigningKey.generate().public.hex(), opening=f"{number:064x}")
    for number in range(3)
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.booleans()),
        st.tuples(st.just("claim"), st.sampled_from(range(3))),
        st.tuples(st.just("decide"), st.booleans()),
        st.tuples(st.just("decide late"), st.booleans()),
        st.tuples(st.just("grant"), st.none()),
        st.tuples(st.just("done"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([60_000, LIFETIME_MS])),
    ),
    max_size=14,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("ca") / "authority", at=AT)


@dataclass
class Run:
    """One code, and what came of it."""

    kept: Enrolments
    authority: Authority
    code: EnrolmentCode
    at: int = AT
    conversations: int = 0
    wrong: int = 0
    offers: int = 0
    shown: dict[str, int] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)
    granted: list[int] = field(default_factory=list)
    old: list[Claim] = field(default_factory=list)
    claimed: set[int] = field(default_factory=set)

    def offer(self, right: object) -> None:
        secret = self.code.secret if right else "0" * 16
        self.kept.offer(self.code.place, secret, source=f"192.0.2.{self.conversations}", at=self.at)
        assert right
        assert self.at < AT + LIFETIME_MS
        assert self.wrong < MOST_WRONG
        self.offers += 1
        assert self.offers <= MOST_OFFERS

    def claim(self, number: object) -> None:
        assert isinstance(number, int)
        six = f"{self.conversations:06d}"
        self.kept.claim(self.code.place, MACHINES[number], digits=six, source="192.0.2.9", at=self.at)
        self.claimed.add(number)
        self.shown[six] = number
        assert len(self.claimed) == 1, "a code is the first machine's"

    def decide(self, yes: object, claims: tuple[Claim, ...]) -> None:
        for claim in claims:
            if self.kept.decide(claim, yes=bool(yes), by="Anne", at=self.at) and yes:
                self.confirmed.add(self.shown[claim.digits])
            self.old.append(claim)

    def grant(self) -> None:
        self.kept.grant(self.code.place, lambda csr, box: self.authority.box(csr, box, at=self.at), at=self.at)
        (machine,) = self.claimed
        assert machine in self.confirmed
        self.granted.append(machine)

    def step(self, name: str, value: object) -> None:
        self.conversations += 1
        match name:
            case "offer":
                self.wrong += not value
                self.offer(value)
            case "claim":
                self.claim(value)
            case "decide":
                self.decide(value, self.kept.waiting(self.code.place))
            case "decide late":
                self.decide(value, tuple(self.old[:1]))
            case "grant":
                self.grant()
            case "done":
                self.kept.done(self.code.place)
            case _:
                assert isinstance(value, int)
                self.at += value


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_a_code_makes_one_machine_a_box_and_only_after_a_yes(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object]]
) -> None:
    database = tmp_path_factory.mktemp("run") / "desk.db"
    code = EnrolmentCode.make(host="h", port=1, ca=CA)
    with Enrolments(database, {}) as kept:
        kept.open(code, box="box-0007", at=AT)
        run = Run(kept, authority, code)
        for name, value in steps:
            try:
                run.step(name, value)
            except EnrolmentError:
                continue
    connection = connect(database)
    keys = standing_keys(connection, "box-0007", listed={})
    connection.close()
    assert len(keys) == len(set(run.granted)) <= 1
    assert keys == {MACHINES[machine].signing for machine in run.granted}
    assert len(rows(database, "SELECT serial FROM box_certificate")) == len(set(run.granted))


def test_two_offices_on_one_database_do_not_give_a_code_to_two_machines(tmp_path: Path, authority: Authority) -> None:
    database = tmp_path / "desk.db"
    code = EnrolmentCode.make(host="h", port=1, ca=CA)
    with Enrolments(database, {}) as one, Enrolments(database, {}) as two:
        one.open(code, box="box-0007", at=AT)
        for office in (one, two):
            office.offer(code.place, code.secret, source="192.0.2.1", at=AT)
        one.claim(code.place, MACHINES[0], digits="000001", source="192.0.2.1", at=AT)
        with pytest.raises(EnrolmentError, match="used"):
            two.claim(code.place, MACHINES[1], digits="000002", source="192.0.2.2", at=AT)
        assert [claim.digits for claim in two.waiting()] == ["000001"]
    assert authority.revoked() == frozenset()
