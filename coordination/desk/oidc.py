"""Signing in at the team's identity provider, Pro Santé Connect for instance: OpenID Connect, authorization code flow.

django-allauth keeps the state, makes the PKCE challenge (RFC 7636) and asks for the tokens. What is added here, since
it does not do it (OpenID Connect Core 1.0, section 3.1.3.7):

- A nonce for each sign-in, which the ID token must carry.
- The ID token's signature is always verified, with a key of the provider's list and one of three algorithms; then its
  issuer, audience, times and level of assurance (`acr`: "eidas1" at Pro Santé Connect). Nothing of it is read before.
- The userinfo must be about the same `sub`, and none of it is kept: not the name, not the places of practice.
- A visitor's address line adds nothing to what is asked of the provider, and links no account.
- Nobody gets an account by having one there: an administrator has said whose `sub` or national number (RPPS, ADELI) an
  account is. A number is bound to the first `sub` that shows it.

Facts about Pro Santé Connect: https://industriels.esante.gouv.fr/produits-et-services/pro-sante-connect.
"""

import hmac
import secrets
from typing import Any, Final

import jwt
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from requests import RequestException

from alerting.alert import Sentence
from coordination.desk import sign_in
from coordination.desk.models import LinkedPerson, User
from coordination.desk.pages import said
from coordination.desk.shared_database import acting
from coordination.desk.sign_in import Way
from coordination.desk_settings import OidcSettings

ALGORITHMS: Final = ("RS256", "PS256", "ES256")
LEEWAY_S: Final = 30
"""How far the provider's clock may be from the desk's."""
LONGEST_SUBJECT: Final = 191
NONCE: Final = "nonce"
_UNANSWERED: Final = (RequestException, OAuth2Error, KeyError, TypeError, ValueError)
"""What comes of a provider that is down, or that answers something else than it should."""
_FAILED = Sentence(
    fr="La connexion par ce fournisseur n'a pas abouti. Réessayer, ou utiliser votre mot de passe.",
    en="Signing in by this provider did not work. Try again, or use your password.",
)
_NOT_LINKED = Sentence(
    fr="Cette identité n'est liée à aucun compte ici. Demander à votre administrateur de la lier.",
    en="This identity is linked to no account here. Ask your administrator to link it.",
)


def providers() -> tuple[OidcSettings, ...]:
    """Return the providers that the settings name."""
    return tuple(settings.DESK.oidc)


class Exchange(OpenIDConnectOAuth2Adapter):
    """What is said to the provider and believed of it, for one sign-in; `nonce` is what its ID token must carry."""

    nonce = ""

    @property
    def openid_config(self) -> dict[str, Any]:
        """Return what the provider says of itself.

        Raises:
            OAuth2Error: it is another provider's, or has no TLS.
        """
        config = super().openid_config
        server = self._settings().server
        if "/.well-known/" not in server and config["issuer"] != server:
            raise OAuth2Error("discovery document of another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
            if not str(config[name]).startswith("https://") and not server.startswith("http://"):
                raise OAuth2Error("an address of the provider without TLS")
        return dict(config)

    def _settings(self) -> OidcSettings:
        return next(one for one in providers() if one.id == self.provider_id)

    def complete_login(self, request: HttpRequest, app: SocialApp, token: Any, **kwargs: Any) -> SocialLogin:
        """Return who signs in.

        Raises:
            OAuth2Error: anything is not as it must be.
        """
        claims = self._claims(app, kwargs["response"].get("id_token"))
        info = self._fetch_user_info(token.token)
        if not isinstance(info, dict) or info.get("sub") != claims["sub"]:
            raise OAuth2Error("userinfo is about somebody else")
        return self.get_provider().sociallogin_from_response(request, {"id_token": claims, "userinfo": info})

    def _claims(self, app: SocialApp, token: object) -> dict[str, Any]:
        if not isinstance(token, str):
            raise OAuth2Error("no ID token")
        wanted = self._settings()
        try:
            claims = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token).get("kid")),
                algorithms=list(ALGORITHMS),
                audience=app.client_id,
                issuer=self.openid_config["issuer"],
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub", "nonce"]},
            )
        except jwt.PyJWTError as error:
            raise OAuth2Error("ID token refused") from error
        if not hmac.compare_digest(str(claims["nonce"]).encode(), self.nonce.encode()) or not self.nonce:
            raise OAuth2Error("ID token of another sign-in")
        if claims.get("azp", app.client_id) != app.client_id:
            raise OAuth2Error("ID token for another client")
        if wanted.acr_values and wanted.level_demanded and claims.get("acr") not in wanted.acr_values.split():
            raise OAuth2Error("level of assurance too low")
        return dict(claims)

    def _key(self, wanted: object) -> Any:
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.openid_config["jwks_uri"])
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
        found = [key for key in keys if key.key_id == wanted and key.public_key_use in {None, "sig"}]
        if len(found) != 1:
            raise OAuth2Error("ID token signed with an unknown key")
        return found[0]


class Provider(OpenIDConnectProvider):
    """A provider of the settings."""

    package = "allauth.socialaccount.providers.openid_connect"
    oauth2_adapter_class = Exchange

    def extract_uid(self, data: Any) -> str:
        """Return its `sub`, from the ID token."""
        subject = str(data["id_token"]["sub"])
        if not 0 < len(subject) <= LONGEST_SUBJECT:
            raise OAuth2Error("sub too long")
        return subject

    def extract_extra_data(self, data: Any) -> dict[str, Any]:
        """Return what is kept of it all: the number that says who it is, for this sign-in only."""
        wanted = next(one for one in providers() if one.id == self.app.provider_id)
        number = data["userinfo"].get(wanted.number_claim) if wanted.number_claim else None
        return {"number": number} if isinstance(number, str) and 0 < len(number) <= 40 else {}

    def extract_common_fields(self, data: Any) -> dict[str, Any]:
        """Return nothing: accounts are named here."""
        return {}

    def extract_email_addresses(self, data: Any) -> list[Any]:
        """Return none: nobody is known by an address of another's."""
        return []


provider_classes = [Provider]


class SocialAdapter(DefaultSocialAccountAdapter):
    """Whose account an identity of a provider is."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Nobody gets an account by having one elsewhere."""
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Find whose account it is.

        Raises:
            ImmediateHttpResponse: nobody's: back to signing in, told so.
        """
        account = sociallogin.account
        number = account.extra_data.pop("number", "")
        user = person_of(account.provider, account.uid, number)
        if user is None:
            sign_in.turn_away(None, Way.OIDC, "not_linked")
            messages.warning(request, said(_NOT_LINKED))
            raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))
        sociallogin.user = user

    def on_authentication_error(self, request: HttpRequest, provider: Any, **more: Any) -> None:
        """Turn away whoever comes back without what it takes.

        Raises:
            ImmediateHttpResponse: always, back to signing in.
        """
        sign_in.turn_away(None, Way.OIDC, "provider")
        messages.warning(request, said(_FAILED))
        raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))


def person_of(provider: str, subject: str, number: str) -> User | None:
    """Return whose account an identity is; a number is bound to the first `sub` that shows it."""
    with acting():
        linked = LinkedPerson.objects.filter(provider=provider).select_related("user")
        found = linked.filter(subject=subject).first()
        if found is None and number:
            found = linked.filter(number=number, subject="").first()
            if found is not None:
                found.subject = subject
                found.save(update_fields=["subject"])
        return None if found is None else found.user


def begin(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Send somebody to a provider."""
    provider = _provider(request, provider_id)
    nonce = secrets.token_urlsafe(24)
    wanted = request.GET.get("next", "")
    after = wanted if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) else None
    try:
        return provider.redirect(
            request,
            process="login",
            next_url=after,
            data={NONCE: nonce},
            auth_params={**provider.get_auth_params(), NONCE: nonce},
        )
    except _UNANSWERED:
        messages.warning(request, said(_FAILED))
        return HttpResponseRedirect(reverse("account_login"))


class _Back(OAuth2CallbackView):
    def _get_state(self, request: HttpRequest, provider: Provider) -> Any:
        state, response = super()._get_state(request, provider)
        if state is not None:
            self.adapter.nonce = (state.get("data") or {}).get(NONCE, "")
        return state, response


def back(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Take somebody back from a provider."""
    provider = _provider(request, provider_id)
    try:
        return _Back.adapter_view(Exchange(request, provider_id))(request)
    except _UNANSWERED:
        try:
            SocialAdapter(request).on_authentication_error(request, provider)
        except ImmediateHttpResponse as answer:
            return answer.response
        raise


def _provider(request: HttpRequest, provider_id: str) -> Provider:
    if provider_id not in {one.id for one in providers()}:
        raise Http404
    return get_adapter(request).get_provider(request, provider=provider_id)
