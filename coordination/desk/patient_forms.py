"""What is typed about a patient, checked at the door: bounded, of the expected form, or told in words.

Times are typed by the patient's clock and become ms UTC here.
"""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from coordination.desk.identities import REASONS
from coordination.desk.models import Box, Team
from coordination.desk.pages import said, t
from coordination.desk.shared_database import outside
from coordination.identity_vault import Person
from coordination.packs import all_packs, meaning_of
from coordination.patient_acts import PSEUDONYM, OtherBox
from coordination.sql import Sql

ZONES = (
    "Europe/Paris", "America/Guadeloupe", "America/Martinique", "America/Cayenne", "America/Miquelon",
    "Indian/Reunion", "Indian/Mayotte", "Pacific/Noumea", "Pacific/Tahiti", "Pacific/Wallis", "Europe/Brussels",
    "Europe/Luxembourg", "Europe/Zurich",
)  # fmt: skip
CONSENTS = {
    "telemonitoring": Sentence(fr="télésurveillance à domicile", en="telemonitoring at home"),
    "sharing": Sentence(fr="transmission au médecin traitant", en="sharing with the family doctor"),
    "evaluation": Sentence(fr="usage pour l'évaluation du service", en="use for evaluating the service"),
}
HOW = {
    "written": Sentence(fr="par écrit", en="in writing"),
    "spoken": Sentence(fr="de vive voix", en="by word of mouth"),
    "representative": Sentence(fr="par un représentant", en="by a representative"),
}
_EARLIEST = date(2000, 1, 1)


def pathways(connection: Sql, team: int) -> dict[str, CareProtocol]:
    """Return what a team's packs mean by their name, its own among them; one that cannot be read is left out."""
    meanings = ((pack.name, meaning_of(connection, team, pack)) for pack in all_packs(connection, team))
    return {name: protocol for name, protocol in meanings if protocol is not None}


def at_clock(moment: datetime, zone: str) -> int:
    """Return a time by a patient's clock as ms UTC."""
    return round(moment.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


class _Sworn(forms.Form):
    """A form whose faults are told in the reader's language."""

    def fault(self, name: str) -> str:
        """Return what is wrong with a field, "" when nothing is."""
        return " ".join(self.errors.get(name, []))


class AssignForm(_Sworn):
    """A box for a patient, from a time on."""

    box = forms.ChoiceField()
    since = forms.CharField(max_length=19)
    other_box = forms.ChoiceField(choices=[(one.value, one.value) for one in OtherBox], required=False)

    def __init__(self, *args: Any, team: Team, zone: str, now: int, **more: Any) -> None:
        super().__init__(*args, **more)
        self._zone, self._now = zone, now
        boxes = Box.objects.filter(team=team).order_by("name")
        self.fields["box"].choices = [(str(box.pk), box.name) for box in boxes]
        self.fields["box"].error_messages = dict.fromkeys(
            ("required", "invalid_choice"), t("Choisir un boîtier de l'équipe.", "Choose a box of the team.")
        )

    def clean_since(self) -> int | None:
        """Return when it was given, ms UTC; not in the future."""
        return _since(self.cleaned_data["since"], self._zone, self._now)


def _since(text: str, zone: str, now: int) -> int:
    words = t("Une date et une heure, pas dans le futur.", "A date and time, not in the future.")
    try:
        moment = datetime.fromisoformat(text)
        found = at_clock(moment, zone)
    except (ValueError, OverflowError) as error:
        raise forms.ValidationError(words) from error
    # A minute's grace: browsers show whole minutes.
    if moment.tzinfo is not None or moment.date() < _EARLIEST or found > now + 60_000:
        raise forms.ValidationError(words)
    return found


class TakeOnForm(AssignForm):
    """A new patient: a name that says nothing, a pathway, a clock, and perhaps a box."""

    pseudonym = forms.CharField(max_length=48)
    pathway = forms.ChoiceField()
    time_zone = forms.CharField(max_length=40)

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["box"].required = False
        self.fields["since"].required = False
        with outside() as database:
            self.pathways = pathways(database, more["team"].pk)
        self.fields["pathway"].choices = [(name, said(one.title)) for name, one in self.pathways.items()]
        self.fields["pathway"].error_messages = dict.fromkeys(
            ("required", "invalid_choice"), t("Choisir un parcours.", "Choose a pathway.")
        )

    def clean_pseudonym(self) -> str:
        """Return it in small letters."""
        name = self.cleaned_data["pseudonym"].strip().lower()
        if not PSEUDONYM.fullmatch(name):
            raise forms.ValidationError(
                t(
                    "3 à 48 caractères a-z, 0-9 et -, jamais un nom de personne.",
                    "3 to 48 of a-z, 0-9 and -, never a person's name.",
                )
            )
        return name

    def clean_time_zone(self) -> str:
        """Return an IANA name."""
        name = self.cleaned_data["time_zone"].strip()
        if name not in available_timezones():
            raise forms.ValidationError(
                t("Un fuseau IANA, comme Europe/Paris.", "An IANA time zone, like Europe/Paris.")
            )
        self._zone = name
        return name

    def clean_since(self) -> int | None:
        """Return when the box was given; read once the zone is known."""
        return None

    def clean(self) -> dict[str, Any]:
        """Read the time by the clock that was chosen."""
        found = super().clean() or self.cleaned_data
        if found.get("box"):
            try:
                found["since"] = _since(str(self.data.get("since", ""))[:19], self._zone, self._now)
            except forms.ValidationError as error:
                self.add_error("since", error)
        return found


class IdentityForm(_Sworn):
    """Who a patient is."""

    family_name = forms.CharField(max_length=120)
    given_name = forms.CharField(max_length=120)
    born_on = forms.CharField(max_length=10, required=False)
    telephone = forms.CharField(max_length=120, required=False)
    address = forms.CharField(max_length=240, required=False)
    carer = forms.CharField(max_length=120, required=False)
    carer_telephone = forms.CharField(max_length=120, required=False)
    physician = forms.CharField(max_length=120, required=False)

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for field in self.fields.values():
            field.error_messages["required"] = t("À remplir.", "To be filled in.")
            field.error_messages["max_length"] = t("Trop long.", "Too long.")

    def clean_born_on(self) -> str:
        """Return an ISO date, "" for none."""
        text = self.cleaned_data["born_on"]
        if not text:
            return ""
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError as error:
            raise forms.ValidationError(t("Une date.", "A date.")) from error

    def person(self) -> Person:
        """Return what was typed."""
        return Person(**{name: str(value) for name, value in self.cleaned_data.items()})


class ReasonForm(_Sworn):
    """Why somebody wants to know."""

    why = forms.ChoiceField(choices=[(name, name) for name in REASONS])


class ConsentForm(_Sworn):
    """What a patient agreed to."""

    what = forms.ChoiceField(choices=[(name, name) for name in CONSENTS])
    how = forms.ChoiceField(choices=[(name, name) for name in HOW])
    given_on = forms.CharField(max_length=10)

    def __init__(self, *args: Any, zone: str, now: int, **more: Any) -> None:
        super().__init__(*args, **more)
        self._zone, self._now = zone, now

    def clean_given_on(self) -> int:
        """Return the beginning of that day by the patient's clock, ms UTC."""
        try:
            day = date.fromisoformat(self.cleaned_data["given_on"])
        except ValueError as error:
            raise forms.ValidationError(t("Une date.", "A date.")) from error
        found = at_clock(datetime(day.year, day.month, day.day), self._zone)  # noqa: DTZ001 - of the patient's clock
        if day < _EARLIEST or found > self._now:
            raise forms.ValidationError(t("Une date passée.", "A date that is past."))
        return found


class RetentionForm(_Sworn):
    """For how many days a team keeps things."""

    archive_days = forms.IntegerField(min_value=30, max_value=18_262)
    view_days = forms.IntegerField(min_value=180, max_value=7_305)
