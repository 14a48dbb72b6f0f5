"""What administrators do with accounts: open, close, roles, links, identities. Each is an act, kept with its change.

Rules of this room:

- A team always keeps an administrator with an open account.
- Nobody gives themselves a role: to read patients, an administrator needs another one, or whoever has the machine.
- What holds everywhere (closing an account, a link for its password, its second factor, its identity) is done by
  somebody who administers every team of that account: an administrator of one team cannot become a nurse of another.
- A link is good for one password within a day, and the newest one only; a hash of it is kept.

Each function runs inside a transaction of the caller's.

Not here: who may (access), and what is shown (views.team).
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from allauth.mfa.models import Authenticator
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import Max

from alerting.alert import Sentence
from coordination.audit_log import NOTHING, AuditLog
from coordination.desk.access import Role
from coordination.desk.models import LinkedPerson, Membership, PasswordLink, Team, User
from coordination.desk.sign_in import end_sessions, reference_of
from coordination.errors import CoordinationError
from coordination.sql import Sql
from exchange.audit_chain import Act, Detail

LINK_LASTS: Final = 24 * 3_600_000
"""ms for which a link for a new password is good."""
_ASK = Sentence(
    fr="Demander à quelqu'un qui administre toutes ses équipes.", en="Ask somebody who administers all their teams."
)


class AccountError(CoordinationError):
    """It was not done, for a reason that whoever wanted it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Who does something to an account, when, and in which team.

    Attributes:
        database: in a transaction.
        team: the team whose people are looked after.
        user: who does it; None at the machine's own keyboard.
        name: as the record of acts names them.
        at: ms UTC.
    """

    database: Sql
    team: Team
    user: User | None
    name: str
    at: int

    def enter(self, act: Act, about: User, detail: Detail = NOTHING) -> None:
        """Enter an act."""
        log = AuditLog(self.database)
        log.begin(at=self.at)
        log.enter(act, at=self.at, by=self.name, reference=reference_of(about), detail=detail)


def make_team(acting: Acting, name: str) -> Team:
    """Make a team; `acting.team` is left out of account.

    Raises:
        AccountError: there is one of that name.
    """
    name = " ".join(name.split())
    if not name or len(name) > 60 or not name.isprintable():
        raise AccountError(
            Sentence(fr="Ce nom d'équipe ne convient pas.", en="This is no name for a team."),
            hint=Sentence(fr="De 1 à 60 caractères.", en="1 to 60 characters."),
        )
    if Team.objects.filter(name=name).exists():
        raise AccountError(
            Sentence(fr=f"Il y a déjà une équipe « {name} ».", en=f"There is a team '{name}' already."),
            hint=Sentence(fr="Choisir un autre nom.", en="Choose another name."),
        )
    # The first team was made by the inbox under its own number, of which PostgreSQL's counter does not know.
    made = Team.objects.create(pk=(Team.objects.aggregate(last=Max("pk"))["last"] or 0) + 1, name=name)
    log = AuditLog(acting.database)
    log.begin(at=acting.at)
    log.enter(Act.TEAM_MADE, at=acting.at, by=acting.name, reference=f"team:{made.pk}", detail={"name": name})
    return made


def open_account(acting: Acting, *, email: str, name: str, role: Role) -> User:
    """Open an account in a team, or bring one that there is into the team; return it.

    Raises:
        AccountError: it is one's own.
    """
    user = User.objects.filter(email=email.lower()).first()
    if user is None:
        user = User.objects.create_user(email, name, created_at=acting.at)
        acting.enter(Act.ACCOUNT_OPENED, user, {"team": acting.team.pk})
    give_role(acting, user, role)
    return user


def give_role(acting: Acting, user: User, role: Role) -> None:
    """Give somebody a role in the team.

    Raises:
        AccountError: it would be to oneself.
    """
    if acting.user is not None and acting.user.pk == user.pk:
        raise AccountError(
            Sentence(fr="On ne se donne pas un rôle à soi-même.", en="Nobody gives themselves a role."),
            hint=Sentence(fr="Demander à un autre administrateur.", en="Ask another administrator."),
        )
    _, new = Membership.objects.get_or_create(user=user, team=acting.team, role=role.value)
    if new:
        acting.enter(Act.ROLE_CHANGED, user, {"role": role.value, "given": "yes", "team": acting.team.pk})


def take_role(acting: Acting, user: User, role: Role) -> None:
    """Take a role of somebody's in the team.

    Raises:
        AccountError: nobody would administer the team.
    """
    gone, _ = Membership.objects.filter(user=user, team=acting.team, role=role.value).delete()
    _keep_an_administrator(acting.team)
    if gone:
        acting.enter(Act.ROLE_CHANGED, user, {"role": role.value, "given": "no", "team": acting.team.pk})


def close(acting: Acting, user: User) -> None:
    """Close an account: its sessions end and nothing signs it in; its acts stay.

    Raises:
        AccountError: nobody would administer one of its teams, or somebody else must do it.
    """
    _refuse_for_other_teams(acting, user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    for team in Team.objects.filter(memberships__user=user).distinct():
        _keep_an_administrator(team)
    PasswordLink.objects.filter(user=user).delete()
    end_sessions(user)
    acting.enter(Act.ACCOUNT_CLOSED, user)


def reopen(acting: Acting, user: User) -> None:
    """Open an account again.

    Raises:
        AccountError: somebody else must do it.
    """
    _refuse_for_other_teams(acting, user)
    if User.objects.filter(pk=user.pk, is_active=False).update(is_active=True):
        acting.enter(Act.ACCOUNT_CHANGED, user, {"what": "reopened"})


def make_link(acting: Acting, user: User) -> str:
    """Return the secret of a link with which somebody sets a new password; an earlier one is worth nothing from now.

    Raises:
        AccountError: the account is closed, or somebody else must do it.
    """
    _refuse_for_other_teams(acting, user)
    if not user.is_active:
        raise AccountError(
            Sentence(fr="Ce compte est fermé.", en="This account is closed."),
            hint=Sentence(fr="Le rouvrir d'abord.", en="Open it again first."),
        )
    secret = secrets.token_urlsafe(32)
    PasswordLink.objects.update_or_create(
        user=user,
        defaults={"digest": _digest(secret), "expires_at": acting.at + LINK_LASTS, "made_by": acting.name[:60]},
    )
    acting.enter(Act.ACCOUNT_CHANGED, user, {"what": "password_link"})
    return secret


def link_of(secret: str, *, at: int) -> PasswordLink | None:
    """Return the link of this secret while it is good for something."""
    found = PasswordLink.objects.select_related("user").filter(digest=_digest(secret), expires_at__gt=at)
    return found.filter(user__is_active=True).first()


def use_link(database: Sql, link: PasswordLink, user: User, *, at: int) -> bool:
    """Keep the password that `user` was just given, and end the link and the account's sessions.

    Returns:
        False, with nothing done, when the link was used or replaced meanwhile.
    """
    gone, _ = PasswordLink.objects.filter(pk=link.pk, digest=link.digest).delete()
    if not gone:
        return False
    user.save(update_fields=["password"])
    end_sessions(user)
    log = AuditLog(database)
    log.begin(at=at)
    log.enter(
        Act.ACCOUNT_CHANGED,
        at=at,
        by=user.name,
        reference=reference_of(user),
        detail={"what": "password", "link_by": link.made_by},
    )
    return True


def weak(password: str, user: User) -> list[str]:
    """Return what is wrong with a password, in the reader's language; nothing when it will do."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        return list(error.messages)
    return []


def forget_second(acting: Acting, user: User) -> None:
    """Take away the second factors of somebody who lost them; at the next sign-in a new one is set up.

    Raises:
        AccountError: they are one's own, or somebody else must do it.
    """
    _refuse_for_other_teams(acting, user)
    if acting.user is not None and acting.user.pk == user.pk:
        raise AccountError(
            Sentence(fr="Vos propres facteurs se retirent sur votre page.", en="Remove your own on your own page."),
            hint=Sentence(fr="Aller à « Mon compte ».", en="Go to 'My account'."),
        )
    # One by one: each that goes is an act (account_changes).
    for authenticator in Authenticator.objects.filter(user_id=user.pk):
        authenticator.delete()
    end_sessions(user)


def link_identity(acting: Acting, user: User, *, provider: str, subject: str, number: str) -> None:
    """Say who an account is at an identity provider; both empty: nobody any more.

    Raises:
        AccountError: it is one's own, that identity is somebody else's, or somebody else must do it.
    """
    _refuse_for_other_teams(acting, user)
    if acting.user is not None and acting.user.pk == user.pk:
        raise AccountError(
            Sentence(fr="On ne lie pas sa propre identité.", en="Nobody links their own identity."),
            hint=Sentence(fr="Demander à un autre administrateur.", en="Ask another administrator."),
        )
    taken = LinkedPerson.objects.filter(provider=provider).exclude(user=user)
    if (subject and taken.filter(subject=subject).exists()) or (number and taken.filter(number=number).exists()):
        raise AccountError(
            Sentence(fr="Cette identité est celle d'un autre compte.", en="This identity is another account's."),
            hint=Sentence(fr="La délier d'abord de cet autre compte.", en="Unlink it from that other account first."),
        )
    LinkedPerson.objects.filter(user=user, provider=provider).delete()
    if subject or number:
        LinkedPerson.objects.create(user=user, provider=provider, subject=subject, number=number)
    what = "identity_linked" if subject or number else "identity_unlinked"
    acting.enter(Act.ACCOUNT_CHANGED, user, {"what": what, "provider": provider})


def _keep_an_administrator(team: Team) -> None:
    if not team.memberships.filter(role=Role.ADMIN.value, user__is_active=True).exists():
        raise AccountError(
            Sentence(
                fr="Ce serait retirer le dernier administrateur de l'équipe : rien n'a été changé.",
                en="That would take the team's last administrator: nothing was changed.",
            ),
            hint=Sentence(
                fr="Donner d'abord ce rôle à quelqu'un d'autre.", en="Give that role to somebody else first."
            ),
        )


def _refuse_for_other_teams(acting: Acting, user: User) -> None:
    if acting.user is None:
        return
    teams = set(user.memberships.values_list("team_id", flat=True))
    own = set(acting.user.memberships.filter(role=Role.ADMIN.value).values_list("team_id", flat=True))
    if not teams <= own:
        raise AccountError(
            Sentence(
                fr="Cette personne est aussi dans une équipe que vous n'administrez pas : rien n'a été changé.",
                en="This person is also in a team that you do not administer: nothing was changed.",
            ),
            hint=_ASK,
        )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
