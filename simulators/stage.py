"""What is to be seen of a demonstration at a moment, and in which words."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from alerting.alert import ChangeKind
from alerting.explain import shown_unit
from coordination.alert_events import PRIO
from coordination.view import AlertView
from devices.reading import Quantity, facts, to_value
from simulators.clock import AcceleratedClock
from simulators.processes import Event
from simulators.world import ZONE

TROUBLE = {
    "link_cut": ("le lien du capteur est coupé", "the sensor's link is cut"),
    "broker_killed": ("le broker est tué (SIGKILL), puis relancé", "the broker is killed (SIGKILL) and comes back"),
    "box_killed": ("le boîtier est tué (SIGKILL), puis relancé", "the box is killed (SIGKILL) and comes back"),
}
PRIORITIES = {"high": ("Haute", "High"), "medium": ("Moyenne", "Medium"), "low": ("Basse", "Low")}


@dataclass(slots=True)
class Stage:
    """What is to be seen right now.

    Attributes:
        lang: "fr" or "en".
        clock: the simulated time.
        last: newest value of each (device, quantity): text and ms UTC.
        linked: devices with an open link.
        taken: readings taken so far.
        stored: observations that the team has.
        waiting: records at the box without receipt.
        alerts: the team's alerts, newest first.
        notes: what happened, newest last.
    """

    lang: str
    clock: AcceleratedClock
    last: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    taken: int = 0
    stored: int = 0
    waiting: int = 0
    alerts: list[AlertView] = field(default_factory=list)
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    def say(self, fr: str, en: str) -> None:
        """Note one thing that happened, at the simulated time."""
        self.notes.append(f"{self.local(self.clock.now_ms())}  {fr if self.lang == 'fr' else en}")

    def local(self, at_ms: int) -> str:
        """Return a time as the patient's wall clock shows it."""
        return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(ZONE)).strftime("%d/%m %H:%M")

    def number(self, value: Decimal) -> str:
        """Return a number in the reader's form."""
        text = f"{value.normalize():f}"
        return text.replace(".", ",") if self.lang == "fr" else text

    def event(self, origin: str, event: Event) -> None:
        """Take up one event of a process."""
        match origin, event:
            case "home", {"event": "taken", "device": str(device), "quantity": str(name), "count": int(count)}:
                quantity = Quantity(name)
                text = f"{self.number(to_value(quantity, count))} {shown_unit(facts(quantity).unit)}"
                at = event["measured_at"]
                self.taken += 1
                self.last[device, name] = (text, at if isinstance(at, int) else 0)
            case "home", {"event": "connected", "device": str(device)}:
                self.linked.add(device)
            case "home", {"event": "disconnected", "device": str(device)}:
                self.linked.discard(device)
            case "demo", {"event": "trouble", "name": str(name)}:
                self.say(*TROUBLE[name])
            case "demo", {"event": "started"}:
                self.say("tout est en marche", "everything runs")
            case "demo", {"event": "stopped"}:
                self.say("plus aucune mesure ; on attend les dernières", "no more readings; waiting for the last")
            case "demo", {"event": "not_flushed", "waiting": waiting, "missing": missing}:
                self.say(
                    f"en retard : {waiting} en attente, {missing} absentes",
                    f"late: {waiting} waiting, {missing} missing",
                )

    def priority(self, alert: AlertView) -> str:
        """Return how urgent an alert is, in the reader's language."""
        return PRIORITIES[alert.priority][0 if self.lang == "fr" else 1]

    def sentence(self, alert: AlertView) -> str:
        """Return an alert's sentence in the reader's language."""
        return alert.why.fr if self.lang == "fr" else alert.why.en

    def alert_line(self, alert: AlertView) -> str:
        """Return an alert as one line: when, how urgent, what became of it, whose, and its sentence."""
        whose = alert.patient or alert.box
        head = f"{self.local(alert.raised_at)}  [{self.priority(alert)}] {self.word(alert)} · {whose}"
        return f"{head} · {self.sentence(alert)}"

    def gravest(self) -> AlertView | None:
        """Return the gravest alert about a patient's readings, of those the newest; None when there is none."""
        clinical = [alert for alert in self.alerts if alert.evidence and alert.change is not ChangeKind.RETRACTED]
        return min(clinical, key=lambda alert: (PRIO[alert.priority], -alert.raised_at), default=None)

    def word(self, alert: AlertView) -> str:
        """Return what became of an alert, in the reader's language."""
        if alert.change is ChangeKind.RETRACTED:
            fr, en = "retirée", "retracted"
        elif alert.resolved_at is not None:
            fr, en = "finie", "resolved"
        elif alert.suppressed is not None:
            fr, en = "retenue", "held back"
        else:
            fr, en = "en cours", "stands"
        return fr if self.lang == "fr" else en
