"""A box's and a team's record of acts on real databases, exported, and the verifier that shares no code with them."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from agent.audit_log import AuditLog, Witnessed
from agent.store import Store
from exchange.audit_chain import TEAM_LOG, Act, Erasable, Head, beginning
from exchange.audit_export import Exported, lines
from exchange.identity import SigningKey
from exchange.messages import Range
from exchange.receipts import Receipt, Received
from exchange.sealing import sign_receipt
from tests.agent.kit import BOX, START

ROOT = Path(__file__).parents[2]


def _load() -> ModuleType:
    path = ROOT / "docs" / "security" / "verify_audit.py"
    spec = importlib.util.spec_from_file_location("verify_audit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


verifier = _load()

Line = dict[str, Any]


class Book:
    """One box's log, whose acts are entered and signed for by hand."""

    def __init__(self, store: Store, key: SigningKey, team: SigningKey) -> None:
        self.store = store
        self.key = key
        self.team = team
        self.now = START

    def enter(self, act: Act, by: str = "box", reference: str | Erasable = "", **detail: str | int | Erasable) -> int:
        self.now += 1000
        number = self.store.audited(
            lambda log: log.enter(act, at=self.now, by=by, reference=reference, detail=detail), now_ms=self.now
        )
        return number or 0

    def sign(self) -> None:
        self.store.audited(lambda log: log.checkpoint(self.key, at=self.now), now_ms=self.now)

    def heard(self, *heads: Head) -> bool:
        """A receipt of the team with these heads; return whether all agree."""
        receipt = Receipt(
            box=BOX, epochs=(Received(epoch="0" * 32, ranges=(Range(0, 0),), high=0),), at=self.now, heads=heads
        )
        proof = sign_receipt(receipt, self.team)
        return all(
            self.store.audited(
                lambda log, head=head: log.witness(Witnessed(head=head, at=self.now, proof=proof)),  # type: ignore[misc]
                now_ms=self.now,
            )
            for head in heads
        )

    def witnessed(self) -> None:
        """The team has seen the log up to its head."""
        self.heard(self.log.head(), beginning(TEAM_LOG, "1" * 32))

    @property
    def log(self) -> AuditLog:
        return self.store.audit

    def exported(self, *, names: bool = False) -> list[Line]:
        exported = Exported(
            log=BOX,
            chain=self.log.chain() or "",
            at=self.now,
            program="0.1.0",
            entries=self.log.entries(),
            checkpoints=self.log.checkpoints(),
            receipts=dict.fromkeys(item.proof for name in (BOX, TEAM_LOG) for item in self.log.witnessed(name)),
            names=self.log.names() if names else {},
        )
        return [json.loads(line) for line in lines(exported)]

    def verified(self, exported: list[Line], *others: list[Line]) -> set[str]:
        """What the verifier finds, in its fixed words."""
        logs = [verifier.read(written(one)) for one in (exported, *others)]
        keys = {BOX: [self.key.public], TEAM_LOG: [self.team.public]}
        return {finding.what for finding in verifier.verify(logs, keys)}


def written(exported: list[Line]) -> str:
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in exported)
