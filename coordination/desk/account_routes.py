"""The addresses of one's own account, of signing in, and of the team's people.

Of django-allauth's addresses those are here that the desk has, each with what it needs; the others do not exist.
"""

from collections.abc import Callable

from allauth.account import views as accounts
from allauth.mfa.base import views as factors
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as application
from allauth.mfa.webauthn import views as passkeys
from django.http import HttpResponse

from coordination.desk import oidc
from coordination.desk.access import Action
from coordination.desk.account_changes import whole
from coordination.desk.addresses import act, form, page
from coordination.desk.once_more import once_more
from coordination.desk.views import account, my_account, team

_OWN, _OPEN, _TEAM = Action.OWN_ACCOUNT, Action.PUBLIC, Action.MANAGE_TEAM


def _asked(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    return once_more(view, _TEAM)


ACCOUNT_ROUTES = [
    form("compte/login/", accounts.login, _OPEN, "account_login"),
    form("compte/logout/", accounts.logout, _OPEN, "account_logout"),
    form("compte/reauthenticate/", accounts.reauthenticate, _OWN, "account_reauthenticate"),
    form("compte/password/change/", accounts.password_change, _OWN, "account_change_password"),
    page("compte/password/set/", my_account.no_password, _OWN, "account_set_password"),
    form("compte/2fa/authenticate/", factors.authenticate, _OPEN, "mfa_authenticate"),
    form("compte/2fa/reauthenticate/", factors.reauthenticate, _OWN, "mfa_reauthenticate"),
    page("compte/2fa/", my_account.second, _OWN, "mfa_index"),
    form("compte/2fa/totp/activate/", whole(application.activate_totp), _OWN, "mfa_activate_totp"),
    form("compte/2fa/totp/deactivate/", whole(application.deactivate_totp), _OWN, "mfa_deactivate_totp"),
    page("compte/2fa/recovery-codes/", codes.view_recovery_codes, _OWN, "mfa_view_recovery_codes"),
    form(
        "compte/2fa/recovery-codes/generate/",
        whole(codes.generate_recovery_codes),
        _OWN,
        "mfa_generate_recovery_codes",
    ),
    page("compte/2fa/webauthn/", my_account.second, _OWN, "mfa_list_webauthn"),
    form("compte/2fa/webauthn/add/", whole(passkeys.add_webauthn), _OWN, "mfa_add_webauthn"),
    form("compte/2fa/webauthn/login/", passkeys.login_webauthn, _OPEN, "mfa_login_webauthn"),
    form("compte/2fa/webauthn/reauthenticate/", passkeys.reauthenticate_webauthn, _OWN, "mfa_reauthenticate_webauthn"),
    form("compte/2fa/webauthn/keys/<int:pk>/edit/", whole(passkeys.edit_webauthn), _OWN, "mfa_edit_webauthn"),
    form("compte/2fa/webauthn/keys/<int:pk>/remove/", whole(my_account.remove_passkey), _OWN, "mfa_remove_webauthn"),
    page("compte/oidc/<str:provider_id>/login/", oidc.begin, _OPEN, "openid_connect_login"),
    page("compte/oidc/<str:provider_id>/login/callback/", oidc.back, _OPEN, "openid_connect_callback"),
    form("compte/lien/<str:secret>", my_account.use_link, _OPEN, "password_link"),
    page("compte/encore", my_account.again, _OWN, "sign_in_again"),
    page("compte", my_account.show, _OWN, "account"),
    act("compte/modifier", my_account.change, _OWN, "change_account"),
    act("compte/sessions/fermer", my_account.end_session, _OWN, "end_session"),
    act("equipe/choisir", account.choose_team, _OWN, "choose_team"),
    page("equipe", team.show, _TEAM, "team"),
    act("equipe/ouvrir", _asked(team.open_account), _TEAM, "open_account"),
    page("equipe/<int:member>", team.member, _TEAM, "member"),
    act("equipe/<int:member>/role", _asked(team.change_role), _TEAM, "change_role"),
    act("equipe/<int:member>/lien", _asked(team.make_link), _TEAM, "make_link"),
    act("equipe/<int:member>/fermer", _asked(team.close), _TEAM, "close_account"),
    act("equipe/<int:member>/rouvrir", _asked(team.reopen), _TEAM, "reopen_account"),
    act("equipe/<int:member>/second", _asked(team.forget_second), _TEAM, "forget_second"),
    act("equipe/<int:member>/identite", _asked(team.link_identity), _TEAM, "link_identity"),
]
